"""What a reader should keep in mind about a report, decided by rules on its figures."""

from collections.abc import Iterator, Mapping

import pandas as pd

from projpipe.evaluation.latency import Timings
from projpipe.evaluation.metrics import REFERENCE, Metrics
from projpipe.methods.controls import CONTROLS
from projpipe.metric import ACCURACY, METRICS, NO_DIFFERENCE, TOO_FEW, UNCLEAR, Metric
from projpipe.reporting.formats import busy, latencies_of, times_faster
from projpipe.reporting.style import listed_kinds, title_of
from projpipe.reporting.wording import WORDING

FEW_SEEDS, FEW_TASKS, NOISY = 5, 10, 0.2
CEILINGS = {ACCURACY.name: 0.97}  # of metrics that have an end to come near to


def caveats(metrics: Metrics, timings: Timings, results: pd.DataFrame) -> list[str]:
    """Sentences for the section on limits; each stands there because a rule on the figures holds."""
    return [*_differences(metrics), *_samples(metrics, results), *_speed(metrics, timings)]


def _differences(metrics: Metrics) -> Iterator[str]:
    metric = METRICS[metrics["metric"]]
    controls: dict[str, dict[str, str]] = {}
    for name, by_kind in metrics["differences"].items():
        other = name.removeprefix("projected-")
        verdicts = {kind: metric.verdict(cell["ci95"], len(cell["by_seed"])) for kind, cell in by_kind.items()}
        if other in CONTROLS:
            controls[other] = verdicts
        else:
            yield from _against(other, verdicts, metric)
    yield from _against_controls(controls)


def _kinds(verdicts: Mapping[str, str], *of: str) -> list[str]:
    return [kind for kind, verdict in verdicts.items() if verdict in of]


def _against(other: str, verdicts: Mapping[str, str], metric: Metric) -> Iterator[str]:
    name = title_of(other).lower()
    if unclear := _kinds(verdicts, NO_DIFFERENCE):
        yield (
            f"Projected minus {name}: the interval includes zero on {listed_kinds(unclear)}, "
            "where this run does not show a difference either way."
        )
    if too_few := _kinds(verdicts, TOO_FEW):
        yield (
            f"Projected minus {name}: the interval reaches further than {metric.text(metric.matters)} {metric.step} on "
            f"{listed_kinds(too_few)}. Tasks are too few there to tell, or seeds."
        )
    worse = _kinds(verdicts, "worse")
    if worse:
        yield f"Projected minus {name}: the projected model is worse on {listed_kinds(worse)}."


def _against_controls(controls: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Controls with the same limits share a sentence."""
    for of, finding in (
        (
            UNCLEAR,
            "the projector is not shown to do worse on {}. This run does not show that its models use the task there.",
        ),
        (("worse",), "the projector does better on {}."),
    ):
        alike: dict[tuple[str, ...], list[str]] = {}
        for control, verdicts in controls.items():
            alike.setdefault(tuple(_kinds(verdicts, *of)), []).append(control)
        for kinds, those in alike.items():
            if kinds:
                titles, told = "; ".join(map(title_of, those)), " or ".join(CONTROLS[control].told for control in those)
                yield f"{titles}: told {told} in place of its task's own, {finding.format(listed_kinds(kinds))}"


def seeds_of(metrics: Metrics) -> int:
    """With how many seeds the methods were trained."""
    return max(len(cell["by_seed"]) for by_kind in metrics["differences"].values() for cell in by_kind.values())


def few_tasks(metrics: Metrics) -> list[str]:
    """The kinds of tasks of which there are so few that their intervals are rough."""
    return [kind for kind, cell in metrics["results"][REFERENCE].items() if cell["tasks"] < FEW_TASKS]


def at_ceiling(metrics: Metrics) -> bool:
    """Whether every method but the controls comes near to the end of the metric, on new combinations."""
    ceiling = CEILINGS.get(metrics["metric"])
    means = [
        by_kind["new_combination"]["mean"]
        for method, by_kind in metrics["results"].items()
        if method not in CONTROLS and "new_combination" in by_kind
    ]
    return ceiling is not None and bool(means) and min(means) > ceiling


def _samples(metrics: Metrics, results: pd.DataFrame) -> Iterator[str]:
    seeds = seeds_of(metrics)
    if seeds == 1:
        yield (
            "Methods were trained with one seed: intervals hold the spread of tasks and classes alone, not that of "
            "training runs."
        )
    elif seeds < FEW_SEEDS:
        yield (
            f"Methods were trained with {seeds} seeds, which show the spread between training runs only roughly. "
            "Intervals are wide for that reason, and may hide real differences."
        )
    if few := few_tasks(metrics):
        yield f"There are fewer than {FEW_TASKS} tasks on {listed_kinds(few)}: read those intervals as rough."
    smallest = int(results["images"].min())
    one_image = WORDING[metrics["objective"]].one_image.format(share=100 / smallest)
    yield f"The task with the fewest test images has {smallest} of them, so that {one_image}."
    if at_ceiling(metrics):
        yield (
            f"Every method is above {100 * CEILINGS[metrics['metric']]:.0f} % on new combinations: these tasks are "
            "easy, and differences are small for that reason alone."
        )
    yield "One teacher, one data set and one training budget: with longer training the order of methods can change."


def _speed(metrics: Metrics, timings: Timings) -> Iterator[str]:
    fewer_macs = metrics["teacher"]["macs"] / metrics["student"]["macs"]
    measured = latencies_of(timings, REFERENCE)
    slow = [
        at for at, found in measured.items() if min(found["speedup"], found["undisturbed_speedup"]) < fewer_macs / 2
    ]
    if slow:
        faster = " and ".join(f"{times_faster(measured[at])} times faster at {at}" for at in slow)
        yield (
            f"The student needs {fewer_macs:.0f} times fewer multiply-accumulates but is {faster}: at this size the "
            "fixed cost of calling each layer, not arithmetic, takes most of the time."
        )
    if busy(timings):
        yield (
            "Other programs ran while latency was measured. A range has at its ends what leaves them out and what the "
            "clock said, which are the same on a quiet machine. Measure again on one."
        )
    noisy = [
        f"{title_of(method).lower()} at {at}"
        for method in timings["latency"]
        for at, measured in latencies_of(timings, method).items()
        if measured["iqr_ms"] > NOISY * measured["median_ms"]
    ]
    if noisy:
        yield (
            f"Noisy latencies, where the middle half of the runs spans more than {100 * NOISY:.0f} % of the median: "
            f"{', '.join(noisy)}."
        )
