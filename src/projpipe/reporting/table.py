"""Closing tables: what a run prints when the report or a comparison is written."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from projpipe.config import HELD_OUT_KINDS
from projpipe.errors import printable
from projpipe.evaluation.comparison_summary import ComparedTable, Comparison
from projpipe.evaluation.cost import Cost
from projpipe.evaluation.latency import Timings
from projpipe.evaluation.metrics import Metrics
from projpipe.evaluation.summary import Measured
from projpipe.metric import METRICS, Metric
from projpipe.reporting.formats import busy, count, latencies_of, times_faster
from projpipe.reporting.opening import closing_line
from projpipe.reporting.rows import NOTE, compared_with_reference, judged_on_sample, row_name
from projpipe.reporting.style import title_of
from projpipe.students.elapsed import milliseconds


def print_closing_table(
    metrics: Metrics, costs: Mapping[str, Cost], timings: Timings, report: Path, console: Console
) -> None:
    """Print the closing table, that it shows hardly any difference where that is so, and where the report is."""
    console.print(closing_table(metrics, costs, timings))
    if busy(timings):
        console.print(Text("Latency was measured on a busy machine: its ranges are explained in the report"))
    if line := closing_line(metrics):
        console.print(Text(line))
    console.print(Text(f"Report: {report}"), soft_wrap=True)


def closing_table(metrics: Metrics, costs: Mapping[str, Cost], timings: Timings) -> Table:
    """Scores with 95 % intervals, parameters, compute and latency of every method, as a table for the terminal."""
    metric = METRICS[metrics["metric"]]
    kinds = [kind for kind in HELD_OUT_KINDS if kind in metrics["results"]["teacher"]]
    timed = {method: latencies_of(timings, method) for method in costs}
    # Text, as a name may hold rich's markup. Cells of several lines keep the table within 80 columns.
    title = Text(f"{metrics['dataset']}: {metric.heading} [95 % interval], latency in ms (times faster)")
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("method", no_wrap=True)
    headings = [kind.replace("_", "\n") for kind in kinds]
    timings_of = ["sample" if kind == "sampling" else kind for kind in timed["teacher"]]
    for heading in (*headings, "para-\nmeters", "MACs", *timings_of):
        table.add_column(heading, justify="right", no_wrap=True)
    for method, cost in costs.items():
        table.add_row(
            title_of(method).replace(" ", "\n"),
            *(_measured(metric, metric.text, metrics["results"][method][kind]) for kind in kinds),
            count(cost.params),
            count(cost.macs),
            *(f"{milliseconds(m)}\n({times_faster(m)}x)".replace(" to ", "\nto ") for m in timed[method].values()),
        )
    return table


def print_comparison(summary: Comparison, page: Path, console: Console) -> None:
    """Print a table of scores and differences for every table of a comparison, and where its page is."""
    metric = METRICS[summary["metric"]]
    for name, table in summary["tables"].items():
        console.print(comparison_table(f"{summary['dataset']}, {name}", table, metric))
    console.print(Text(f"Comparison: {page}"), soft_wrap=True)


def comparison_table(title: str, compared: ComparedTable, metric: Metric) -> Table:
    """Score of every row with its 95 % interval, and by how much the reference is above it, for the terminal."""
    results, reference = compared["results"], compared["reference"]
    differences = dict(compared_with_reference(compared))
    kinds = [kind for kind in HELD_OUT_KINDS if any(kind in cells for cells in results.values())]
    seeds = f"{len(compared['seeds'])} seed{'s' * (len(compared['seeds']) > 1)}"
    first, step = row_name(reference, compared), metric.step
    if metric.higher_is_better:
        lead, meaning = "lead", f"lead of {first}, in {step}"
    else:
        lead, meaning = "difference", f"{first} minus the row, in {step}, negative is better"
    caption = f"{title}, {seeds}: {metric.heading} [95 % interval]; {meaning}"
    table = Table(title=Text(printable(caption)), title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("method", max_width=20)
    for kind in kinds:
        table.add_column(kind.replace("_", "\n"), justify="right", no_wrap=True)
        table.add_column(lead, justify="right", no_wrap=True)
    for name, cells in results.items():
        columns = [
            _measured(metric, write, found[kind]) if kind in found else Text("\N{EN DASH}")
            for kind in kinds
            for write, found in ((metric.text, cells), (metric.difference, differences.get(name, {})))
        ]
        table.add_row(Text(printable(row_name(name, compared)) + NOTE * judged_on_sample(name, compared)), *columns)
    if any(judged_on_sample(name, compared) for name in results):
        table.caption = Text(f"{NOTE.strip()} on the sampled tasks alone, on which the {lead} is paired")
        table.caption_justify = "left"
    return table


def _measured(metric: Metric, write: Callable[[float], str], cell: Measured) -> Text:
    """A mean, and its interval below it, in two lines where many decimals make it long."""
    low, high = (write(bound).lstrip("+") for bound in cell["ci95"])
    between = " " if metric.decimals < 2 else "\n"
    return Text(f"{write(cell['mean'])}\n[{low},{between}{high}]")
