"""The figures of the report, as plotly figures: no numbers are computed here beyond means and ranges for drawing.

Every method keeps one colour (the Okabe-Ito palette, told apart with any kind of colour vision) and one marker, so
that the figures also read in black and white. Accuracies are shares in the tables and per cent on the axes.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

METHOD_NAMES = {
    "teacher": "Teacher",
    "projected": "Projected",
    "static": "Static projection",
    "universal": "Universal conditional",
    "universal_selected": "Universal, weights selected",
    "scratch": "Per task, from scratch",
    "distilled": "Per task, distilled",
    "pruned": "Pruned teacher, fine-tuned per task",
    "pruned_only": "Pruned teacher",
    "shuffled": "Projected, another task's embedding",
    "mean": "Projected, mean embedding",
    "random": "Projected, random embedding",
}
KIND_NAMES = {
    "new_combination": "new combinations of known classes",
    "coherent": "coherent new combinations",
    "random": "random new combinations",
    "new_class": "new classes",
    "train": "training tasks",
}
COLOURS = {
    "teacher": "#7f7f7f",
    "projected": "#0072b2",
    "static": "#e69f00",
    "universal": "#cc79a7",
    "universal_selected": "#d55e00",
    "scratch": "#56b4e9",
    "distilled": "#009e73",
    "pruned": "#000000",
    "pruned_only": "#000000",
    "shuffled": "#56b4e9",
    "mean": "#009e73",
    "random": "#d55e00",
}
MARKERS = {
    "teacher": "diamond",
    "projected": "circle",
    "static": "square",
    "universal": "triangle-up",
    "universal_selected": "triangle-down",
    "scratch": "pentagon",
    "distilled": "star",
    "pruned": "x",
    "pruned_only": "cross",
    "shuffled": "circle-open",
    "mean": "square-open",
    "random": "diamond-open",
}
DASHES = {
    "teacher": "longdash",
    "projected": "solid",
    "static": "dash",
    "universal": "dot",
    "universal_selected": "dashdot",
    "scratch": "longdashdot",
    "distilled": "8px,3px",
    "pruned": "3px,6px",
}
# for curves of other names; yellow, which is hard to see on white, comes last
OKABE_ITO = ("#56b4e9", "#009e73", "#d55e00", "#000000", "#e69f00", "#cc79a7", "#0072b2", "#f0e442")
OTHER_MARKERS = ("circle-open", "square-open", "diamond-open", "triangle-up-open", "triangle-down-open", "x-thin-open")
OTHER_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
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
            x=[f"{broken(KIND_NAMES[kind], 24)}<br>({by_kind[kind]['tasks']} tasks)" for kind in kinds],
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
    finish(figure, "Accuracy on tasks by kind, with 95 % intervals")
    rows_of_legend = 1 + (len(results) - 1) // 4
    return figure.update_layout(margin_t=70 + 20 * rows_of_legend, height=410 + 20 * rows_of_legend)


def learning_curves_figure(history: pd.DataFrame) -> go.Figure:
    """Validation accuracy against optimisation step: the mean over seeds, and the range of the seeds as a band.

    `history` has the columns of `schemas.HISTORY`, of any number of methods.
    """
    figure = go.Figure()
    history = history.assign(name=history["method"])
    draw_curves(figure, history, curve_styles(history))
    seeds = history["seed"].nunique()
    figure.update_xaxes(title="optimisation step", rangemode="tozero", ticks="outside")
    figure.update_yaxes(title="accuracy on validation tasks (%)")
    band = "" if seeds == 1 else f" (mean and range of {seeds} seeds)"
    return finish(figure, f"Learning curves{band}")


@dataclass(frozen=True)
class CurveStyle:
    """How one curve is drawn, and what the legend calls it."""

    label: str
    colour: str
    marker: str
    dash: str


def curve_styles(history: pd.DataFrame) -> dict[str, CurveStyle]:
    """The style of every `name` in `history`.

    Where the name is that of its `method` it is drawn as that method is everywhere; any other name (`rank 8`) takes the
    next colour of the palette that no method here has.
    """
    pairs = dict(zip(history["name"], history["method"], strict=True))
    own = [name for name, method in pairs.items() if name == method and name in DASHES]
    free = [colour for colour in OKABE_ITO if colour not in {COLOURS[name] for name in own}]
    styles = {name: CurveStyle(METHOD_NAMES[name], COLOURS[name], MARKERS[name], DASHES[name]) for name in own}
    for i, name in enumerate(name for name in pairs if name not in styles):
        turn = i + i // len(free)  # a colour that comes again has another dash and marker
        marker, dash = OTHER_MARKERS[turn % len(OTHER_MARKERS)], OTHER_DASHES[turn % len(OTHER_DASHES)]
        styles[name] = CurveStyle(escaped(name), free[i % len(free)], marker, dash)
    return styles


def draw_curves(figure: go.Figure, history: pd.DataFrame, styles: Mapping[str, CurveStyle], **panel: int) -> None:
    """Draw the mean over seeds and the range of the seeds of every `name` in `history`.

    `panel` is the row and col in a figure of several panels, where a name has one entry in the legend.
    """
    for name, rows in history.groupby("name", sort=False):
        style, drawn_before = styles[str(name)], name in {trace.legendgroup for trace in figure.data}
        curve = (100 * rows.groupby("step")["validation_accuracy"].agg(["mean", "min", "max"])).reset_index()
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
            name=style.label,
            x=list(curve["step"]),
            y=list(curve["mean"]),
            mode="lines+markers",
            showlegend=not drawn_before,
            legendgroup=name,
            line={"color": style.colour, "dash": style.dash, "width": 2.5},
            cliponaxis=False,
            marker={"symbol": style.marker, "size": 8},
            hovertemplate="step %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
            **panel,
        )


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
            customdata=list(rows["task_name"].map(escaped)),
            hovertemplate="%{customdata}: %{y:+.1f} points<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        figure.update_xaxes(title="tasks, sorted", showticklabels=False, row=1, col=column)
    figure.add_hline(y=0, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_yaxes(title="gain (percentage points)", row=1, col=1)
    return finish(figure, "Projected minus universal conditional model, task by task")


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
    return finish(figure, "Student sizes: accuracy against deployed parameters")


def broken(text: str, width: int) -> str:
    """A label in lines of at most `width` characters, broken between words."""
    return "<br>".join(textwrap.wrap(text, width))


def escaped(text: str) -> str:
    """Names come from folders: plotly reads some HTML in hover text, so that its marks are written out."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def finish(figure: go.Figure, title: str) -> go.Figure:
    """Give a figure its title, and the look that all figures share."""
    figure.update_xaxes(showgrid=False, zeroline=False, linecolor=QUIET, showline=True, automargin=True)
    figure.update_yaxes(showgrid=True, gridcolor="rgba(127,127,127,0.25)", zeroline=False, automargin=True)
    return figure.update_layout(
        template="none",
        title={
            "text": title,
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 16},
            "font": {"size": 17},
        },
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13},
        font_color=DARK,
        paper_bgcolor=LIGHT,
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": 90, "b": 70},
        height=430,
        hoverlabel={"align": "left"},
    )
