"""The closing table: what a run prints when the report is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from projpipe.evaluation.cost import Cost
from projpipe.evaluation.latency import Timings
from projpipe.reporting.figures import METHOD_NAMES
from projpipe.reporting.formats import count, percent


def print_closing_table(
    metrics: Mapping[str, Any], costs: Mapping[str, Cost], timings: Timings, report: Path, console: Console
) -> None:
    """Print the closing table, and where the report is."""
    console.print(closing_table(metrics, costs, timings))
    console.print(Text(f"Report: {report}"), soft_wrap=True)


def closing_table(metrics: Mapping[str, Any], costs: Mapping[str, Cost], timings: Timings) -> Table:
    """Accuracy with 95 % intervals, parameters, compute and latency of every method, as a table for the terminal."""
    kinds = [kind for kind in ("new_combination", "new_class") if kind in metrics["results"]["teacher"]]
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
            *(Text(f"{percent(c['mean'])}\n[{percent(c['ci95'][0])}, {percent(c['ci95'][1])}]") for c in cells),
            count(cost["params"]),
            count(cost["macs"]),
            *(f"{m['median_ms']:.2f}\n({m['speedup']:.1f}x)" for m in measured),
        )
    return table
