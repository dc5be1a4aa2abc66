"""The figures of the report, as plotly figures: no numbers are computed here beyond means and ranges for drawing.

Scores are as stored in the tables, and as the metric writes them on the axes: an accuracy in per cent.
"""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from projpipe.evaluation.summary import Score
from projpipe.methods.method import Style
from projpipe.methods.projected import PROJECTED
from projpipe.metric import Metric
from projpipe.reporting.style import (
    KIND_NAMES,
    QUIET,
    broken,
    curve_styles,
    escaped,
    finish,
    styles,
    tasks,
    title_of,
)


def scores_figure(results: Mapping[str, Mapping[str, Score]], metric: Metric) -> go.Figure:
    """Mean score of every method on every kind of task, with its 95 % interval.

    `results` is the entry of that name in the metrics: {method: {kind: Score}}.
    """
    figure, known = go.Figure(), styles()
    for method, by_kind in results.items():
        kinds = [kind for kind in KIND_NAMES if kind in by_kind]
        cells = [by_kind[kind] for kind in kinds]
        figure.add_scatter(
            name=title_of(method),
            x=[f"{broken(KIND_NAMES[kind], 24)}<br>({tasks(by_kind[kind]['tasks'])})" for kind in kinds],
            y=[metric.scale * cell["mean"] for cell in cells],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [metric.scale * (cell["ci95"][1] - cell["mean"]) for cell in cells],
                "arrayminus": [metric.scale * (cell["mean"] - cell["ci95"][0]) for cell in cells],
                "thickness": 2,
                "width": 5,
            },
            mode="markers",
            offsetgroup=method,
            marker={"color": known[method].colour, "symbol": known[method].marker, "size": 12},
            hovertemplate=f"{_hovered(metric)}<extra>%{{fullData.name}}</extra>",
        )
    figure.update_layout(scattermode="group", scattergap=0.4)
    lowest = min((cell["ci95"][0] for by_kind in results.values() for cell in by_kind.values()), default=0.0)
    highest = max((cell["ci95"][1] for by_kind in results.values() for cell in by_kind.values()), default=1.0)
    margin = max(0.08 * (highest - lowest), 0.005)
    # plotly lets an axis of grouped markers begin at zero, which would hide the differences
    shown = [metric.scale * (lowest - margin), metric.scale * (highest + margin)]
    figure.update_yaxes(title=metric.axis(), range=shown)
    finish(figure, f"{metric.title.capitalize()} on tasks by kind, with 95 % intervals")
    rows_of_legend = 1 + (len(results) - 1) // 4
    return figure.update_layout(margin_t=70 + 20 * rows_of_legend, height=410 + 20 * rows_of_legend)


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
    figure = make_subplots(
        cols=max(len(kinds), 1),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[KIND_NAMES[kind] for kind in kinds],
        column_widths=[max((table["kind"] == kind).sum(), 6) for kind in kinds] or None,
    )
    for column, kind in enumerate(kinds, start=1):
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
            customdata=list(rows["task_name"].map(escaped)),
            hovertemplate=f"%{{customdata}}: %{{y:+.{metric.decimals}f}} {metric.step}<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        figure.update_xaxes(title="tasks, sorted", showticklabels=False, row=1, col=column)
    figure.add_hline(y=0, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_yaxes(title=f"gain ({metric.step_title})", row=1, col=1)
    if metric.higher_is_better:
        return finish(figure, "Projected minus universal conditional model, task by task")
    return finish(figure, "Universal conditional minus projected model, task by task")


def _hovered(metric: Metric) -> str:
    """The score of a mark, as plotly's hover text writes it: '97.1 %', '1.818 bits per pixel'."""
    return f"%{{y:.{metric.decimals}f}} {metric.unit or metric.title}"
