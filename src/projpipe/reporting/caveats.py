"""What a reader should keep in mind about a report, decided by rules on its figures."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from projpipe.evaluation.latency import Timings
from projpipe.reporting.figures import KIND_NAMES, METHOD_NAMES

TOLD = {
    "shuffled": "another task's embedding",
    "mean": "the mean embedding of the training tasks",
    "random": "a random embedding",
}
FEW_SEEDS, FEW_TASKS, CEILING, NOISY = 3, 10, 0.97, 0.2


def caveats(metrics: Mapping[str, Any], timings: Timings, results: pd.DataFrame) -> list[str]:
    """Sentences for the section on limits; each stands there because a rule on the figures holds."""
    return [*_differences(metrics), *_samples(metrics, results), *_speed(metrics, timings)]


def _differences(metrics: Mapping[str, Any]) -> Iterator[str]:
    for name, by_kind in metrics["differences"].items():
        other = name.removeprefix("projected-")
        unclear = [kind for kind, cell in by_kind.items() if cell["ci95"][0] <= 0 <= cell["ci95"][1]]
        worse = [kind for kind, cell in by_kind.items() if cell["ci95"][1] < 0]
        yield from _against_control(other, unclear, worse) if other in TOLD else _against(other, unclear, worse)


def _against(other: str, unclear: list[str], worse: list[str]) -> Iterator[str]:
    name = METHOD_NAMES[other].lower()
    if unclear:
        yield (
            f"Projected minus {name}: the interval includes zero on {_listed(unclear)}, "
            "where this run does not show a difference either way."
        )
    if worse:
        yield f"Projected minus {name}: the projected model is worse on {_listed(worse)}."


def _against_control(control: str, unclear: list[str], worse: list[str]) -> Iterator[str]:
    if unclear:
        yield (
            f"Told {TOLD[control]} in place of its task's own, the projector is not shown to do worse on "
            f"{_listed(unclear)}: this run does not show that the projector uses the task there."
        )
    if worse:
        yield f"Told {TOLD[control]} in place of its task's own, the projector does better on {_listed(worse)}."


def _listed(kinds: list[str]) -> str:
    return " and on ".join(KIND_NAMES[kind] for kind in kinds)


def _samples(metrics: Mapping[str, Any], results: pd.DataFrame) -> Iterator[str]:
    seeds = results.loc[results["method"] == "projected", "seed"].nunique()
    if seeds < FEW_SEEDS:
        yield (
            f"Methods were trained with {seeds} seed{'s' * (seeds > 1)}. "
            "The spread between training runs is barely known, so the intervals are likely too narrow."
        )
    few = [kind for kind, cell in metrics["results"]["projected"].items() if cell["tasks"] < FEW_TASKS]
    if few:
        yield f"There are fewer than {FEW_TASKS} tasks on {_listed(few)}: read those intervals as rough."
    smallest = int(results["images"].min())
    yield (
        f"The task with the fewest test images has {smallest} of them, so that one image is "
        f"{100 / smallest:.1f} points there. Tasks share classes and test images, "
        "and are not independent of each other."
    )
    means = [
        by_kind["new_combination"]["mean"]
        for method, by_kind in metrics["results"].items()
        if method not in TOLD and "new_combination" in by_kind
    ]
    if means and min(means) > CEILING:
        yield (
            f"Every method is above {100 * CEILING:.0f} % on new combinations: these tasks are easy, "
            "and differences are small for that reason alone."
        )
    yield "One teacher, one data set and one training budget: with longer training the order of methods can change."


def _speed(metrics: Mapping[str, Any], timings: Timings) -> Iterator[str]:
    fewer_macs = metrics["teacher"]["macs"] / metrics["student"]["macs"]
    speedups = {size: measured["speedup"] for size, measured in timings["latency"]["projected"].items()}
    slow = [size for size, speedup in speedups.items() if speedup < fewer_macs / 2]
    if slow:
        faster = " and ".join(f"{speedups[size]:.1f} times faster at batch {size}" for size in slow)
        yield (
            f"The student needs {fewer_macs:.0f} times fewer multiply-accumulates but is {faster}: at this size the "
            "fixed cost of calling each layer, not arithmetic, takes most of the time."
        )
    noisy = [
        f"{METHOD_NAMES[method].lower()} at batch {size}"
        for method, by_size in timings["latency"].items()
        for size, measured in by_size.items()
        if measured["iqr_ms"] > NOISY * measured["median_ms"]
    ]
    if noisy:
        yield (
            f"Noisy latencies, where the middle half of the runs spans more than {100 * NOISY:.0f} % of the median: "
            f"{', '.join(noisy)}."
        )
