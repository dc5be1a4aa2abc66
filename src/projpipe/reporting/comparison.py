"""A comparison of methods for people: a Markdown document and two figures, of what `compare_methods` found.

No numbers are computed here beyond means and ranges for drawing. Names of rows and tables are free text and are
escaped; a row that a user named is shown under that name, any other under the name of its method.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from projpipe.reporting.figures import (
    KIND_NAMES,
    METHOD_NAMES,
    QUIET,
    broken,
    curve_styles,
    draw_curves,
    escaped,
    finish,
)
from projpipe.reporting.formats import count, percent, points, verdict
from projpipe.training.part import PER_TASK

KIND_MARKS = {
    "new_combination": ("#0072b2", "circle"),
    "coherent": ("#009e73", "diamond"),
    "random": ("#e69f00", "square"),
    "new_class": ("#d55e00", "triangle-up"),
    "train": ("#7f7f7f", "x"),
}
NONE, NOTE = "\N{EN DASH}", " \N{SUPERSCRIPT ONE}"
GAP = 55  # pixels between panels, for the title of the lower one


def comparison_markdown(summary: Mapping[str, Any], timings: Mapping[str, Any]) -> str:
    """The document: for every table accuracies, paired differences, what training took, break-even and latency.

    Args:
        summary: dataset, teacher, sampled_tasks, tables and provenance. A row's `source_accuracy` is None or
            {"before", "after"}.
        timings: machine, threads and latency by table and batch size.
    """
    blocks = [f"# Methods compared on {_text(summary['dataset'])}", _reading(summary["teacher"])]
    for name, table in summary["tables"].items():
        blocks += [f"## {_text(name)}", *_table_blocks(table, summary), _latency(timings, name)]
    return "\n\n".join([*blocks, *_provenance(summary["provenance"])]) + "\n"


def differences_figure(summary: Mapping[str, Any]) -> go.Figure:
    """Forest plot: a panel a table, a row for every method the reference is compared with, a mark a kind of task.

    A mark is the paired difference, reference minus method, in percentage points; its line is the 95 % interval.
    """
    tables = summary["tables"]
    kinds = [kind for kind in KIND_NAMES if any(kind in cells for t in tables.values() for _, cells in _compared(t))]
    heights = [len(table["differences"]) * max(18 * len(kinds) + 14, GAP) for table in tables.values()]
    plot_height = sum(heights) + GAP * (len(heights) - 1)
    figure = make_subplots(
        rows=len(tables),
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=GAP / plot_height,
        subplot_titles=[
            escaped(f"{name}: {row_name(t['reference'], t)} minus \N{HORIZONTAL ELLIPSIS}")
            for name, t in tables.items()
        ],
    )
    for panel, table in enumerate(tables.values(), start=1):
        for place, kind in enumerate(kinds):
            _draw_differences(figure, panel, table, kind, offset=0.7 * ((place + 0.5) / len(kinds) - 0.5))
        labels = [broken(escaped(f"minus {row_name(name, table)}"), 28) for name, _ in _compared(table)]
        positions = list(range(len(labels)))
        figure.update_yaxes(tickvals=positions, ticktext=labels, range=[len(labels) - 0.5, -0.5], row=panel, col=1)
    _finish_panels(figure, "Paired differences in accuracy, with 95 % intervals", plot_height)
    figure.update_xaxes(title="difference (percentage points)", row=len(tables), col=1)
    return figure.add_vline(x=0, line={"color": QUIET, "width": 1, "dash": "dot"})


def budget_curves_figure(history: pd.DataFrame, tables: Sequence[str]) -> go.Figure:
    """Validation accuracy against optimisation step, a panel for each of `tables`: mean and range of the seeds.

    `history` has the columns table, name, method, seed, step and validation_accuracy. A name keeps its colour in all
    panels.
    """
    columns = min(len(tables), 2)
    starts = range(0, len(tables), columns)  # of rows of panels
    rows = len(starts)
    plot_height = 280 * rows + GAP * (rows - 1)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes="all",
        horizontal_spacing=0.05,
        vertical_spacing=GAP / plot_height,
        specs=[[{} if row + column < len(tables) else None for column in range(columns)] for row in starts],
        subplot_titles=[escaped(name) for name in tables],
    )
    history = history[history["table"].isin(tables)]
    styles = curve_styles(history)
    for place, name in enumerate(tables):
        of_table = history[history["table"] == name]
        draw_curves(figure, of_table, styles, row=1 + place // columns, col=1 + place % columns)
    several = history.groupby("table")["seed"].nunique().max() > 1
    figure.update_xaxes(rangemode="tozero", ticks="outside")
    _finish_panels(figure, "Learning curves" + " (mean and range of the seeds)" * bool(several), plot_height)
    figure.update_xaxes(title="optimisation step", row=rows)
    return figure.update_yaxes(title="accuracy on validation tasks (%)", col=1)


def row_name(name: str, table: Mapping[str, Any]) -> str:
    """What people call a row: the name a user gave it, or that of its method."""
    trained = table["methods"].get(name)
    return METHOD_NAMES.get(name, name) if trained is None or trained["method"] == name else name


def _reading(teacher: Mapping[str, Any]) -> str:
    return (
        "Accuracy is in %, with its 95 % interval in brackets. Differences are paired by seed and task, in percentage "
        "points. They are bold where their interval leaves out zero; a plain one shows no difference either way. "
        f"The teacher has {teacher['params']:,} parameters and takes {count(teacher['macs'])} multiply-accumulates an "
        "image."
    )


def _table_blocks(table: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[str]:
    """Everything about one table but its heading and its latency."""
    yield _setting(table, summary["teacher"])
    yield _accuracies(table)
    yield _differences(table)
    yield (
        "Training: learning rate, steps, and operations of one run (a method with one seed), a multiply-accumulate "
        "counted as two."
    )
    yield _training(table)
    if any(_per_task(name, table) for name in table["results"]):
        yield (
            f"{NOTE.strip()} A model of its own for each of the {summary['sampled_tasks']} sampled tasks; a run trains "
            "them all. It is judged on these tasks alone, and differences from it are paired on these tasks, so that "
            "they are not those of the means above."
        )
    if table["break_even"] is not None:
        yield _break_even(table["break_even"])


def _setting(table: Mapping[str, Any], teacher: Mapping[str, Any]) -> str:
    student, reduction, seeds = table["student"], table["reduction"], table["seeds"]
    return (
        f"Student: embed_dim {student['embed_dim']}, depth {student['depth']}, num_heads {student['num_heads']}, "
        f"mlp_ratio {student['mlp_ratio']:g}; {student['params']:,} parameters ({percent(reduction['params'])} % fewer "
        f"than the teacher), {count(student['macs'])} multiply-accumulates an image ({percent(reduction['macs'])} % "
        f"fewer). {table['steps']:,} training steps; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}."
        + " With one seed, intervals hold the spread of tasks alone."
        * (len(seeds) == 1)
    )


def _accuracies(table: Mapping[str, Any]) -> str:
    results = table["results"]
    tasks = {
        kind: max(cells[kind]["tasks"] for cells in results.values() if kind in cells)
        for kind in KIND_NAMES
        if any(kind in cells for cells in results.values())
    }

    def cell(measured: Mapping[str, Any]) -> str:
        low, high = measured["ci95"]
        return f"{percent(measured['mean'])} [{percent(low)}, {percent(high)}]"

    return _grid(
        ["method", *(f"{KIND_NAMES[kind]} ({number} tasks)" for kind, number in tasks.items())],
        (
            [_row(name, table), *(cell(cells[kind]) if kind in cells else NONE for kind in tasks)]
            for name, cells in results.items()
        ),
    )


def _differences(table: Mapping[str, Any]) -> str:
    compared = list(_compared(table))
    kinds = [kind for kind in KIND_NAMES if any(kind in cells for _, cells in compared)]

    def cell(difference: Mapping[str, Any]) -> str:
        low, high = (points(bound).lstrip("+") for bound in difference["ci95"])
        text = f"{points(difference['mean'])} [{low}, {high}]"
        return text if verdict(difference["ci95"]) == "no difference shown" else f"**{text}**"

    return _grid(
        [f"{_text(row_name(table['reference'], table))} minus", *(KIND_NAMES[kind] for kind in kinds)],
        (
            [_row(name, table), *(cell(cells[kind]) if kind in cells else NONE for kind in kinds)]
            for name, cells in compared
        ),
    )


def _training(table: Mapping[str, Any]) -> str:
    methods = table["methods"]
    tuned = any(trained["source_accuracy"] is not None for trained in methods.values())

    def source(accuracy: Mapping[str, float] | None) -> str:
        return NONE if accuracy is None else f"{percent(accuracy['before'])} → {percent(accuracy['after'])}"

    return _grid(
        ["method", "learning rate", "steps", "training, one run", *["source accuracy in %, before → after"] * tuned],
        (
            [
                _row(name, table),
                f"{trained['learning_rate']:g}",
                f"{trained['steps']:,}",
                _operations(trained["training_flops"]),
                *[source(trained["source_accuracy"])] * tuned,
            ]
            for name, trained in methods.items()
        ),
    )


def _break_even(found: Mapping[str, Any]) -> str:
    steps, per_task = f"{found['steps_per_task']:,.0f}", _operations(found["flops_per_task"])
    accuracy = "the projector's accuracy on validation images of the sampled tasks"
    if found["reached"]:
        lead = f"The distilled models reach {accuracy} after {steps} steps a task ({per_task})."
    else:
        lead = (
            f"The distilled models did not reach {accuracy} within their budget of {steps} steps a task ({per_task}): "
            "these figures and the ratio below are lower bounds, and the number of tasks is an upper bound."
        )
    at_most, at_least = ("", "") if found["reached"] else ("at most ", "at least ")
    projector, to_make = _operations(found["projector_flops"]), _operations(found["flops_to_make"])
    if found["times_less"] > 1:
        costs = (
            f"Training the projector takes {projector}, which pays off from {at_most}{found['tasks']:,.1f} tasks. It "
            f"then makes a model with {to_make}, {at_least}{found['times_less']:,.0f} times less than distilling one."
        )
    else:
        costs = (
            f"Training the projector takes {projector}, and making a model with it {to_make}: at these figures it does "
            "not pay off in operations."
        )
    return f"**Break-even.** {lead} {costs} The teacher's own forward passes are counted on neither side."


def _latency(timings: Mapping[str, Any], table: str) -> str:
    threads = timings["threads"]
    measured = "; ".join(
        f"batch {size}: teacher {of_size['teacher_ms']:.2f} ms, student {of_size['student_ms']:.2f} ms "
        f"({of_size['speedup']:.1f} times as fast)"
        for size, of_size in timings["latency"][table].items()
    )
    return f"Latency on {_text(timings['machine'])} with {threads} thread{'s' * (threads > 1)}: {measured}."


def _provenance(provenance: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    return [
        "## How this was made",
        f"```bash\n{provenance['command']}\n```",
        f"Commit `{provenance['commit']}`; {_text(versions)}.",
    ]


def _compared(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names of the rows that the reference is compared with, and the differences by kind."""
    for key, by_kind in table["differences"].items():
        yield key.removeprefix(f"{table['reference']}-"), by_kind


def _draw_differences(figure: go.Figure, panel: int, table: Mapping[str, Any], kind: str, offset: float) -> None:
    """Draw the differences on one kind of task into a panel, `offset` below the middle of each row."""
    drawn = [(at, name, cells[kind]) for at, (name, cells) in enumerate(_compared(table)) if kind in cells]
    colour, symbol = KIND_MARKS[kind]
    figure.add_scatter(
        name=KIND_NAMES[kind],
        x=[100 * cell["mean"] for _, _, cell in drawn],
        y=[at + offset for at, _, _ in drawn],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [100 * (cell["ci95"][1] - cell["mean"]) for _, _, cell in drawn],
            "arrayminus": [100 * (cell["mean"] - cell["ci95"][0]) for _, _, cell in drawn],
            "thickness": 2,
            "width": 4,
        },
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 9},
        customdata=[escaped(row_name(name, table)) for _, name, _ in drawn],
        hovertemplate="minus %{customdata}: %{x:+.1f} points<extra>%{fullData.name}</extra>",
        legendgroup=kind,
        showlegend=bool(drawn) and kind not in {trace.legendgroup for trace in figure.data if trace.showlegend},
        row=panel,
        col=1,
    )


def _finish_panels(figure: go.Figure, title: str, plot_height: int) -> None:
    """The look of all figures, with the legend below, as titles of panels are where it would be."""
    finish(figure, title)
    above, below = 85, 130
    figure.update_layout(
        legend={"y": -60 / plot_height, "yanchor": "top"},
        margin={"t": above, "b": below},
        height=above + plot_height + below,
    )


def _per_task(name: str, table: Mapping[str, Any]) -> bool:
    """Whether a row is of models that are made for single tasks, and only for the sampled ones."""
    return name == "pruned_only" or table["methods"].get(name, {}).get("method") in PER_TASK


def _row(name: str, table: Mapping[str, Any]) -> str:
    return _text(row_name(name, table)) + NOTE * _per_task(name, table)


def _operations(number: float) -> str:
    text = count(number)
    return f"{text}FLOP" if text[-1].isalpha() else f"{text} FLOP"


def _text(name: str) -> str:
    """Free text as it is, on one line: Markdown's marks and HTML in it are escaped, and the `|` of tables."""
    return re.sub(r"([\\`*_\[\]<>&|~$])", r"\\\1", " ".join(name.split()))


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose numbers, in all columns but the first, stand to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
