"""The closing table: what a run prints when the report is written."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from projpipe.evaluation.cost import Cost
from projpipe.evaluation.latency import Timings
from projpipe.reporting.figures import METHOD_NAMES


def closing_table(metrics: Mapping[str, Any], costs: Mapping[str, Cost], timings: Timings) -> Table:
    """Accuracy with 95 % intervals, parameters, compute and latency of every method, as a table for the terminal."""
    kinds = [kind for kind in ("new_combination", "new_class") if kind in metrics["results"]["teacher"]]
    sizes = list(timings["latency"]["teacher"])
    table = Table(title=f"{metrics['dataset']}: accuracy in % with 95 % intervals", title_justify="left")
    table.add_column("method")
    headings = [kind.replace("_", " ") for kind in kinds]
    headings += ["parameters", "MACs", *(f"ms, batch {size}" for size in sizes), "speed-up"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for method, cost in costs.items():
        cells = [metrics["results"][method][kind] for kind in kinds]
        latency = timings["latency"][method]
        table.add_row(
            METHOD_NAMES[method],
            *(f"{100 * c['mean']:.1f} ({100 * c['ci95'][0]:.1f}-{100 * c['ci95'][1]:.1f})" for c in cells),
            f"{cost['params']:,}",
            f"{cost['macs']:,}",
            *(f"{latency[size]['median_ms']:.2f}" for size in sizes),
            " / ".join(f"{latency[size]['speedup']:.1f}x" for size in sizes),
        )
    return table
