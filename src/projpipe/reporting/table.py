"""Closing tables: what a run prints when the report or a comparison is written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from projpipe.evaluation.cost import Cost
from projpipe.evaluation.latency import Timings
from projpipe.reporting.comparison import row_name
from projpipe.reporting.figures import METHOD_NAMES
from projpipe.reporting.formats import count, percent, points

SHOWN_KINDS = ("new_combination", "new_class")


def print_closing_table(
    metrics: Mapping[str, Any], costs: Mapping[str, Cost], timings: Timings, report: Path, console: Console
) -> None:
    """Print the closing table, and where the report is."""
    console.print(closing_table(metrics, costs, timings))
    console.print(Text(f"Report: {report}"), soft_wrap=True)


def closing_table(metrics: Mapping[str, Any], costs: Mapping[str, Cost], timings: Timings) -> Table:
    """Accuracy with 95 % intervals, parameters, compute and latency of every method, as a table for the terminal."""
    kinds = [kind for kind in SHOWN_KINDS if kind in metrics["results"]["teacher"]]
    sizes = list(timings["latency"]["teacher"])
    # Text, as a name may hold rich's markup. Cells of two lines keep the table within 80 columns.
    title = Text(f"{metrics['dataset']}: accuracy in % [95 % interval], latency in ms (times faster)")
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("method", no_wrap=True)
    headings = [kind.replace("_", "\n") for kind in kinds]
    for heading in (*headings, "para-\nmeters", "MACs", *(f"batch {size}" for size in sizes)):
        table.add_column(heading, justify="right", no_wrap=True)
    for method, cost in costs.items():
        cells = [metrics["results"][method][kind] for kind in kinds]
        measured = [timings["latency"][method][size] for size in sizes]
        table.add_row(
            METHOD_NAMES[method].replace(" ", "\n"),
            *(_measured(percent, cell) for cell in cells),
            count(cost["params"]),
            count(cost["macs"]),
            *(f"{m['median_ms']:.2f}\n({m['speedup']:.1f}x)" for m in measured),
        )
    return table


def print_comparison(summary: Mapping[str, Any], page: Path, console: Console) -> None:
    """Print a table of accuracies and differences for every table of a comparison, and where its page is."""
    for name, table in summary["tables"].items():
        console.print(comparison_table(f"{summary['dataset']}, {name}", table))
    console.print(Text(f"Comparison: {page}"), soft_wrap=True)


def comparison_table(title: str, compared: Mapping[str, Any]) -> Table:
    """Accuracy of every row with its 95 % interval, and by how much the reference is above it, for the terminal."""
    results, reference = compared["results"], compared["reference"]
    kinds = [kind for kind in SHOWN_KINDS if any(kind in cells for cells in results.values())]
    seeds = f"{len(compared['seeds'])} seed{'s' * (len(compared['seeds']) > 1)}"
    caption = f"{title}, {seeds}: accuracy in % [95 % interval]; lead of {row_name(reference, compared)}, in points"
    table = Table(title=Text(caption), title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("method", max_width=20)
    for kind in kinds:
        table.add_column(kind.replace("_", "\n"), justify="right", no_wrap=True)
        table.add_column("lead", justify="right", no_wrap=True)
    for name, cells in results.items():
        differences = compared["differences"].get(f"{reference}-{name}", {})
        columns = [
            _measured(write, found[kind]) if kind in found else Text("\N{EN DASH}")
            for kind in kinds
            for write, found in ((percent, cells), (points, differences))
        ]
        table.add_row(Text(row_name(name, compared)), *columns)
    return table


def _measured(write: Callable[[float], str], cell: Mapping[str, Any]) -> Text:
    """A mean, and its interval below it."""
    low, high = (write(bound).lstrip("+") for bound in cell["ci95"])
    return Text(f"{write(cell['mean'])}\n[{low}, {high}]")
