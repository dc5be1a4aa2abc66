"""Which student size: scores against parameters and latency."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from projpipe.methods.projected import PROJECTED
from projpipe.metric import Metric
from projpipe.reporting.style import QUIET, TITLE, finish, styles

COSTS = {"params": ("parameters (log scale)", "~s"), "latency_ms": ("latency in ms (log scale)", "~g")}
PLOT, BELOW = 230, 75  # pixels: the height of a panel, and below it for its axis


def size_figure(front: pd.DataFrame, trials: pd.DataFrame, metric: Metric) -> go.Figure:
    """Validation score of every size that was tried, against its parameters and its latency.

    Args:
        front: the sizes in the projector's table, made by every method, and the teacher, as `schemas.PARETO_FRONT`.
        trials: every size that was tried, as `schemas.TRIALS`.
    """
    whole = len(COSTS) * (PLOT + BELOW) - BELOW
    figure = make_subplots(len(COSTS), 1, vertical_spacing=BELOW / whole)
    beaten = trials[~trials["pareto"]]
    for row, (cost, (title, ticks)) in enumerate(COSTS.items(), start=1):
        _add(figure, row, beaten, cost, metric, "other sizes", {"color": QUIET, "symbol": "x-thin-open", "size": 6})
        for method, rows in front.groupby("method", sort=False):
            style = styles()[str(method)]
            marker = {"color": style.colour, "symbol": style.marker, "size": 12 if method == "teacher" else 7}
            joined = cost == "params" and method != "teacher"  # what is fast has no order of size
            line = {"color": style.colour, "dash": style.dash, "width": 1.5} if joined else None
            _add(figure, row, rows.sort_values(cost), cost, metric, style.title, marker, line)
        chosen = front[front["recommended"]]
        star = {"color": PROJECTED.style.colour, "symbol": "star", "size": 18, "line": {"color": "#fff", "width": 1}}
        _add(figure, row, chosen, cost, metric, "Recommended", star)
        tried = [*front[cost], *trials[cost]]
        digits = (1, 2, 5) if max(tried) < 50 * min(tried) else (1,)  # of labels that have room on a narrow screen
        at = [digit * 10.0**power for power in range(-3, 10) for digit in digits]
        figure.update_xaxes(title=title, type="log", tickvals=at, tickformat=ticks, ticks="outside", row=row, col=1)
    figure.update_yaxes(title=metric.axis())
    finish(figure, f"Student sizes: {metric.title} on validation tasks against parameters and latency")
    figure.update_xaxes(minor={"dtick": "D1", "ticks": "outside"})
    top = TITLE + 60
    return figure.update_layout(margin={"t": top, "b": BELOW}, height=top + whole + BELOW)


def _add(
    figure: go.Figure,
    row: int,
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
        showlegend=row == 1,
        x=list(rows[cost]),
        y=list(metric.scale * rows["validation_score"]),
        mode="markers" if line is None else "lines+markers",
        line=line,
        marker=marker,
        customdata=[
            f"{size.embed_dim} wide x {size.depth} deep, {size.num_heads} heads, {size.mlp_dim} hidden units<br>"
            f"{size.params:,} parameters, {size.latency_ms:.2f} ms"
            for size in rows.itertuples()
        ],
        hovertemplate=f"%{{customdata}}<br>%{{y:.{metric.decimals}f}} {metric.unit or metric.title}"
        f"<extra>{name}</extra>",
        row=row,
        col=1,
    )
