"""The figures of the report, as plotly figures: no numbers are computed here beyond means and ranges for drawing.

Scores are as stored in the tables, and as the metric writes them on the axes: an accuracy in per cent.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from projpipe.evaluation.summary import Score
from projpipe.methods.controls import CONTROLS
from projpipe.methods.method import Style
from projpipe.methods.projected import PROJECTED
from projpipe.metric import Metric
from projpipe.reporting.style import (
    KIND_NAMES,
    QUIET,
    TITLE,
    broken,
    curve_styles,
    finish,
    in_html,
    styles,
    tasks,
    title_of,
)

PANEL_GAP = 44  # pixels between panels, for the title of the lower one


def scores_figure(results: Mapping[str, Mapping[str, Score]], metric: Metric) -> go.Figure:
    """Mean score of every method on every kind of task, with its 95 % interval: a panel a kind, a line a method.

    `results` is the entry of that name in the metrics: {method: {kind: Score}}. Controls are left out.
    """
    methods = {name: by_kind for name, by_kind in results.items() if name not in CONTROLS}
    kinds = {kind: cell for by_kind in methods.values() for kind, cell in by_kind.items()}
    kinds = {kind: kinds[kind] for kind in KIND_NAMES if kind in kinds}
    titles = [f"{KIND_NAMES[kind]} ({tasks(cell['tasks'])})" for kind, cell in kinds.items()]
    figure, known = _panels(titles, 26 * len(methods) + 14), styles()
    for row, kind in enumerate(kinds, start=1):
        for method, by_kind in methods.items():
            if kind not in by_kind:
                continue
            mean, (low, high) = by_kind[kind]["mean"], by_kind[kind]["ci95"]
            figure.add_scatter(
                name=title_of(method),
                x=[metric.scale * mean],
                y=[broken(title_of(method), 14)],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [metric.scale * (high - mean)],
                    "arrayminus": [metric.scale * (mean - low)],
                    "thickness": 2,
                    "width": 5,
                },
                mode="markers",
                marker={"color": known[method].colour, "symbol": known[method].marker, "size": 12},
                hovertemplate=f"{_hovered(metric, 'x')}<extra>%{{fullData.name}}</extra>",
                showlegend=False,
                row=row,
                col=1,
            )
    figure.update_xaxes(title=metric.axis(), row=len(kinds), col=1)
    finish(figure, f"{metric.title.capitalize()} on tasks by kind, with 95 % intervals")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=True, gridcolor="rgba(127,127,127,0.25)")
    return _of_panels(figure, len(titles), 26 * len(methods) + 14)


def learning_curves_figure(history: pd.DataFrame, metric: Metric) -> go.Figure:
    """Validation score against optimisation step: the mean over seeds, and the range of the seeds as a band.

    `history` has the columns of `schemas.HISTORY`, of any number of methods.
    """
    figure = go.Figure()
    history = history.assign(name=history["method"])
    draw_curves(figure, history, curve_styles(history), metric)
    seeds = history["seed"].nunique()
    figure.update_xaxes(title="optimisation step", rangemode="tozero", ticks="outside")
    figure.update_yaxes(title=metric.axis(" on validation tasks"))
    band = "" if seeds == 1 else f" (mean and range of {seeds} seeds)"
    return finish(figure, f"Learning curves{band}")


def draw_curves(
    figure: go.Figure, history: pd.DataFrame, style_of: Mapping[str, Style], metric: Metric, **panel: int
) -> None:
    """Draw the mean over seeds and the range of the seeds of every `name` in `history`.

    `panel` is the row and col in a figure of several panels, where a name has one entry in the legend. What is not
    trained yet is left out: it is so far off that all that follows would look alike.
    """
    trained = history[history["step"] > 0]
    for name, rows in trained.groupby("name", sort=False):
        style, drawn_before = style_of[str(name)], name in {trace.legendgroup for trace in figure.data}
        by_step = rows.groupby("step")["validation_score"]
        curve = (metric.scale * by_step.agg(["mean", "min", "max"])).reset_index()
        figure.add_scatter(
            x=[*curve["step"], *curve["step"][::-1]],
            y=[*curve["max"], *curve["min"][::-1]],
            fill="toself",
            fillcolor=style.colour,
            opacity=0.2,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
            **panel,
        )
        figure.add_scatter(
            name=style.title,
            x=list(curve["step"]),
            y=list(curve["mean"]),
            mode="lines+markers",
            showlegend=not drawn_before,
            legendgroup=name,
            line={"color": style.colour, "dash": style.dash, "width": 2.5},
            cliponaxis=False,
            marker={"symbol": style.marker, "size": 8},
            hovertemplate=f"step %{{x}}: {_hovered(metric)}<extra>%{{fullData.name}}</extra>",
            **panel,
        )


def tasks_figure(results: pd.DataFrame, metric: Metric) -> go.Figure:
    """What the projected model gains over the universal one on each task, sorted, one panel a kind of task.

    A mark is the mean over seeds of the paired difference, its line the range of the seeds. Above zero the projected
    model is better, whatever the direction of the metric. `results` has the columns of `schemas.RESULTS`.
    """
    by_method = {
        method: results[results["method"] == method].set_index(["kind", "task_id", "task_name", "seed"])["score"]
        for method in ("projected", "universal")
    }
    towards_better = metric.scale if metric.higher_is_better else -metric.scale
    gain = towards_better * (by_method["projected"] - by_method["universal"]).dropna()
    table = gain.groupby(level=["kind", "task_id", "task_name"]).agg(["mean", "min", "max"]).reset_index()
    kinds = [kind for kind in KIND_NAMES if kind in set(table["kind"])]
    figure = _panels([KIND_NAMES[kind] for kind in kinds], 130, shared_yaxes="all")
    for at, kind in enumerate(kinds, start=1):
        rows = table[table["kind"] == kind].sort_values(["mean", "task_id"])
        figure.add_scatter(
            x=list(range(1, len(rows) + 1)),
            y=list(rows["mean"]),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": list(rows["max"] - rows["mean"]),
                "arrayminus": list(rows["mean"] - rows["min"]),
                "thickness": 1.5,
                "width": 0,
            },
            mode="markers",
            marker={"color": PROJECTED.style.colour, "symbol": PROJECTED.style.marker, "size": 8},
            customdata=list(rows["task_name"].map(in_html)),
            hovertemplate=f"%{{customdata}}: %{{y:+.{metric.decimals}f}} {metric.step}<extra></extra>",
            showlegend=False,
            row=at,
            col=1,
        )
    figure.update_xaxes(showticklabels=False)
    figure.update_xaxes(title="tasks, sorted", row=len(kinds), col=1)
    figure.add_hline(y=0, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_yaxes(title=f"gain ({metric.step})")
    pair = (
        "Projected minus universal conditional" if metric.higher_is_better else "Universal conditional minus projected"
    )
    return _of_panels(finish(figure, f"{pair} model, task by task"), len(kinds), 130)


def _panels(titles: Sequence[str], height: int, **shared: object) -> go.Figure:
    """Panels below each other, which have room on a narrow screen too; `height` is that of one, in pixels."""
    whole = len(titles) * (height + PANEL_GAP) - PANEL_GAP
    return make_subplots(
        rows=max(len(titles), 1),
        subplot_titles=titles,
        vertical_spacing=PANEL_GAP / whole if len(titles) > 1 else 0,
        shared_xaxes=not shared,
        **shared,
    )


def _of_panels(figure: go.Figure, count: int, height: int) -> go.Figure:
    """A finished figure of panels, with their titles to the left."""
    figure.update_annotations(x=0, xanchor="left", xshift=-60, font_size=13)
    top, bottom = TITLE + 30, 50
    whole = count * (height + PANEL_GAP) - PANEL_GAP
    return figure.update_layout(margin={"t": top, "b": bottom}, height=top + whole + bottom)


def _hovered(metric: Metric, axis: str = "y") -> str:
    """The score of a mark, as plotly's hover text writes it: '97.1 %', '1.818 bits per pixel'."""
    return f"%{{{axis}:.{metric.decimals}f}} {metric.unit or metric.title}"
