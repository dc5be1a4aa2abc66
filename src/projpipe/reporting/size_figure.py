"""Which student size: scores against parameters and latency."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from projpipe.methods.projected import PROJECTED
from projpipe.metric import Metric
from projpipe.reporting.style import QUIET, finish, styles

COSTS = {"params": ("parameters (log scale)", "~s"), "latency_ms": ("latency in ms (log scale)", "~g")}
TICKS = [digit * 10.0**power for power in range(-3, 10) for digit in (1, 2, 5)]


def size_figure(front: pd.DataFrame, trials: pd.DataFrame, metric: Metric) -> go.Figure:
    """Validation score of every size that was tried, against its parameters and its latency.

    Args:
        front: the sizes in the projector's table, made by every method, and the teacher, as `schemas.PARETO_FRONT`.
        trials: every size that was tried, as `schemas.TRIALS`.
    """
    figure = make_subplots(1, len(COSTS), shared_yaxes=True, horizontal_spacing=0.04)
    beaten = trials[~trials["pareto"]]
    for column, (cost, (title, ticks)) in enumerate(COSTS.items(), start=1):
        _add(figure, column, beaten, cost, metric, "other sizes", {"color": QUIET, "symbol": "x-thin-open", "size": 6})
        for method, rows in front.groupby("method", sort=False):
            style = styles()[str(method)]
            marker = {"color": style.colour, "symbol": style.marker, "size": 12 if method == "teacher" else 7}
            joined = cost == "params" and method != "teacher"  # what is fast has no order of size
            line = {"color": style.colour, "dash": style.dash, "width": 1.5} if joined else None
            _add(figure, column, rows.sort_values(cost), cost, metric, style.title, marker, line)
        chosen = front[front["recommended"]]
        star = {"color": PROJECTED.style.colour, "symbol": "star", "size": 18, "line": {"color": "#fff", "width": 1}}
        _add(figure, column, chosen, cost, metric, "Recommended", star)
        figure.update_xaxes(
            title=title, type="log", tickvals=TICKS, tickformat=ticks, ticks="outside", row=1, col=column
        )
    figure.update_yaxes(title=metric.axis(" on validation tasks"), row=1, col=1)
    return finish(figure, f"Student sizes: {metric.title} against parameters and latency")


def _add(
    figure: go.Figure,
    column: int,
    rows: pd.DataFrame,
    cost: str,
    metric: Metric,
    name: str,
    marker: Mapping[str, object],
    line: Mapping[str, object] | None = None,
) -> None:
    figure.add_scatter(
        name=name,
        legendgroup=name,
        showlegend=column == 1,
        x=list(rows[cost]),
        y=list(metric.scale * rows["validation_score"]),
        mode="markers" if line is None else "lines+markers",
        line=line,
        marker=marker,
        customdata=[
            f"{row.embed_dim} wide x {row.depth} deep, {row.num_heads} heads, {row.mlp_dim} hidden units<br>"
            f"{row.params:,} parameters, {row.latency_ms:.2f} ms"
            for row in rows.itertuples()
        ],
        hovertemplate=f"%{{customdata}}<br>%{{y:.{metric.decimals}f}} {metric.unit or metric.title}"
        f"<extra>{name}</extra>",
        row=1,
        col=column,
    )
