"""The figures of the report, as plotly figures: no numbers are computed here beyond means and ranges for drawing.

Every method keeps one colour (the Okabe-Ito palette, told apart with any kind of colour vision) and one marker, so
that the figures also read in black and white. Accuracies are shares in the tables and per cent on the axes.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

METHOD_NAMES = {
    "teacher": "Teacher",
    "projected": "Projected",
    "static": "Static projection",
    "universal": "Universal conditional",
}
KIND_NAMES = {
    "new_combination": "new combinations of known classes",
    "new_class": "new classes",
    "train": "training tasks",
}
COLOURS = {"teacher": "#7f7f7f", "projected": "#0072b2", "static": "#e69f00", "universal": "#cc79a7"}
MARKERS = {"teacher": "diamond", "projected": "circle", "static": "square", "universal": "triangle-up"}
DASHES = {"teacher": "longdash", "projected": "solid", "static": "dash", "universal": "dot"}
LIGHT, DARK, QUIET = "#ffffff", "#1f2328", "#7f7f7f"


def accuracy_figure(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> go.Figure:
    """Mean accuracy of every method on every kind of task, with its 95 % interval.

    `results` is the entry of that name in the metrics: {method: {kind: {"mean", "ci95": [low, high], "tasks"}}}.
    """
    figure = go.Figure()
    for method, by_kind in results.items():
        kinds = [kind for kind in KIND_NAMES if kind in by_kind]
        cells = [by_kind[kind] for kind in kinds]
        figure.add_scatter(
            name=METHOD_NAMES.get(method, method),
            x=[f"{KIND_NAMES[kind]}<br>({by_kind[kind]['tasks']} tasks)" for kind in kinds],
            y=[100 * cell["mean"] for cell in cells],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * (cell["ci95"][1] - cell["mean"]) for cell in cells],
                "arrayminus": [100 * (cell["mean"] - cell["ci95"][0]) for cell in cells],
                "thickness": 2,
                "width": 5,
            },
            mode="markers",
            offsetgroup=method,
            marker={"color": COLOURS.get(method), "symbol": MARKERS.get(method), "size": 12},
            hovertemplate="%{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(scattermode="group", scattergap=0.4)
    lowest = min((cell["ci95"][0] for by_kind in results.values() for cell in by_kind.values()), default=0.0)
    highest = max((cell["ci95"][1] for by_kind in results.values() for cell in by_kind.values()), default=1.0)
    margin = max(0.08 * (highest - lowest), 0.005)
    # plotly lets an axis of grouped markers begin at zero, which would hide the differences
    figure.update_yaxes(title="accuracy (%)", range=[100 * (lowest - margin), 100 * (highest + margin)])
    return _finish(figure, "Accuracy on tasks by kind, with 95 % intervals")


def learning_curves_figure(history: pd.DataFrame) -> go.Figure:
    """Validation accuracy against optimisation step: the mean over seeds, and the range of the seeds as a band.

    `history` has the columns of `schemas.HISTORY`, of any number of methods.
    """
    figure = go.Figure()
    for method, rows in history.groupby("method", sort=False):
        name, colour = str(method), COLOURS.get(str(method), QUIET)
        curve = (100 * rows.groupby("step")["validation_accuracy"].agg(["mean", "min", "max"])).reset_index()
        figure.add_scatter(
            x=[*curve["step"], *curve["step"][::-1]],
            y=[*curve["max"], *curve["min"][::-1]],
            fill="toself",
            fillcolor=colour,
            opacity=0.2,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
        figure.add_scatter(
            name=METHOD_NAMES.get(name, name),
            x=list(curve["step"]),
            y=list(curve["mean"]),
            mode="lines+markers",
            legendgroup=name,
            line={"color": colour, "dash": DASHES.get(name), "width": 2.5},
            cliponaxis=False,
            marker={"symbol": MARKERS.get(name), "size": 8},
            hovertemplate="step %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    seeds = history["seed"].nunique()
    figure.update_xaxes(title="optimisation step", rangemode="tozero", ticks="outside")
    figure.update_yaxes(title="accuracy on validation tasks (%)")
    band = "" if seeds == 1 else f" (mean and range of {seeds} seeds)"
    return _finish(figure, f"Learning curves{band}")


def tasks_figure(results: pd.DataFrame) -> go.Figure:
    """What the projected model gains over the universal one on each task, sorted, one panel a kind of task.

    A mark is the mean over seeds of the paired difference in percentage points, its line the range of the seeds.
    `results` has the columns of `schemas.RESULTS`.
    """
    by_method = {
        method: results[results["method"] == method].set_index(["kind", "task_id", "task_name", "seed"])["accuracy"]
        for method in ("projected", "universal")
    }
    gain = 100 * (by_method["projected"] - by_method["universal"]).dropna()
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
            marker={"color": COLOURS["projected"], "symbol": MARKERS["projected"], "size": 8},
            customdata=list(rows["task_name"].map(_plain)),
            hovertemplate="%{customdata}: %{y:+.1f} points<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        figure.update_xaxes(title="tasks, sorted", showticklabels=False, row=1, col=column)
    figure.add_hline(y=0, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_yaxes(title="gain (percentage points)", row=1, col=1)
    return _finish(figure, "Projected minus universal conditional model, task by task")


def pareto_figure(trials: pd.DataFrame, teacher_accuracy: float | None = None) -> go.Figure:
    """Validation accuracy against deployed parameters of every student tried, with the Pareto front marked.

    `trials` has the columns of `schemas.TRIALS`. `teacher_accuracy` (0..1), measured on the same validation tasks with
    the teacher's logits masked to the task's classes, is drawn as a line.
    """
    figure = go.Figure()
    front = trials[trials["pareto"]].sort_values("params")
    for name, rows, style in (
        ("beaten by a smaller or better student", trials[~trials["pareto"]], {"color": QUIET, "symbol": "x-thin-open"}),
        ("Pareto front", front, {"color": COLOURS["projected"], "symbol": MARKERS["projected"]}),
    ):
        figure.add_scatter(
            name=name,
            x=list(rows["params"]),
            y=list(100 * rows["validation_accuracy"]),
            mode="lines+markers" if rows is front else "markers",
            line={"color": COLOURS["projected"], "shape": "hv", "width": 1.5},
            marker={**style, "size": 10},
            customdata=[
                f"embed_dim {row.embed_dim}, depth {row.depth}, num_heads {row.num_heads}, mlp_ratio {row.mlp_ratio:g}"
                for row in rows.itertuples()
            ],
            hovertemplate="%{customdata}<br>%{x:,} parameters: %{y:.1f} %<extra></extra>",
        )
    if teacher_accuracy is not None:
        figure.add_hline(
            y=100 * teacher_accuracy,
            line={"color": COLOURS["teacher"], "dash": DASHES["teacher"], "width": 1.5},
            annotation={"text": "teacher", "xanchor": "right"},
        )
    ticks = [digit * 10**power for power in range(12) for digit in (1, 2, 5)]
    figure.update_xaxes(
        title="deployed parameters (log scale)", type="log", tickvals=ticks, tickformat="~s", ticks="outside"
    )
    figure.update_yaxes(title="accuracy on validation tasks (%)")
    return _finish(figure, "Student sizes: accuracy against deployed parameters")


def _plain(text: str) -> str:
    """Names come from folders: plotly reads some HTML in hover text, so that its marks are written out."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _finish(figure: go.Figure, title: str) -> go.Figure:
    figure.update_xaxes(showgrid=False, zeroline=False, linecolor=QUIET, showline=True, automargin=True)
    figure.update_yaxes(showgrid=True, gridcolor="rgba(127,127,127,0.25)", zeroline=False, automargin=True)
    return figure.update_layout(
        template="none",
        title={"text": title, "x": 0, "xref": "paper", "font": {"size": 17}},
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13},
        font_color=DARK,
        paper_bgcolor=LIGHT,
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": 90, "b": 70},
        height=430,
        hoverlabel={"align": "left"},
    )
