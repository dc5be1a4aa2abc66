"""What a run can show and what it cannot, for the first lines of its report: decided by rules on its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from projpipe.config import HELD_OUT_KINDS
from projpipe.evaluation.latency import Timings
from projpipe.evaluation.metrics import REFERENCE, Metrics
from projpipe.metric import METRICS, TOO_FEW, UNCLEAR
from projpipe.reporting.caveats import CEILINGS, FEW_SEEDS, at_ceiling, few_tasks, seeds_of
from projpipe.reporting.formats import busy, latencies_of, percent, times_faster
from projpipe.reporting.style import KIND_NAMES, listed_kinds, title_of
from projpipe.reporting.wording import WORDING


@dataclass(frozen=True)
class Opening:
    """Where hardly any difference shows: what the run shows all the same, what it cannot and why, where to see it."""

    shows: str
    cannot: str
    elsewhere: Markup


def opening(metrics: Metrics, timings: Timings) -> Opening | None:
    """What stands first in a report; None where at least half of the differences show, which then speak themselves."""
    if not _hardly_told_apart(metrics):
        return None
    return Opening(
        shows=" ".join(_shows(metrics, timings)),
        cannot=" ".join(_cannot(metrics)),
        elsewhere=WORDING[metrics["objective"]].elsewhere,
    )


def closing_line(metrics: Metrics) -> str | None:
    """The same in one line, for the terminal; None where at least half of the differences show."""
    if not _hardly_told_apart(metrics):
        return None
    seeds = seeds_of(metrics)
    why = [
        *["easy tasks"] * at_ceiling(metrics),
        *[f"{seeds} seed{'s' * (seeds > 1)}"] * (seeds < FEW_SEEDS),
        *["few tasks"] * bool(_few_judged(metrics)),
    ]
    return f"Methods are hard to tell apart ({', '.join(why) or 'wide intervals'}): see the report"


def _hardly_told_apart(metrics: Metrics) -> bool:
    verdicts = [verdict for _, _, verdict in _verdicts(metrics)]
    return _unclear(verdicts) > len(verdicts) / 2


def _unclear(verdicts: Sequence[str]) -> int:
    return sum(verdict in UNCLEAR for verdict in verdicts)


def _verdicts(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Of every difference the method that is compared with, the kind of tasks, and what its interval says."""
    metric = METRICS[metrics["metric"]]
    return [
        (name.removeprefix("projected-"), kind, metric.verdict(cell["ci95"], len(cell["by_seed"])))
        for name, by_kind in metrics["differences"].items()
        for kind, cell in by_kind.items()
    ]


def _shows(metrics: Metrics, timings: Timings) -> Iterator[str]:
    metric, smaller = METRICS[metrics["metric"]], metrics["reduction"]
    measured = latencies_of(timings, REFERENCE).items()
    faster = _listed([f"{times_faster(found)} times faster at {at}" for at, found in measured])
    while_busy = " (measured on a busy machine)" * busy(timings)
    yield (
        f"The models have {percent(smaller['params'])} % fewer parameters than their teacher, take "
        f"{percent(smaller['macs'])} % fewer multiply-accumulates, and are {faster}{while_busy}."
    )
    from_teacher = metrics["differences"]["projected-teacher"]
    kind = next(kind for kind in KIND_NAMES if kind in from_teacher)
    mean, low, high = map(metric.difference, (from_teacher[kind]["mean"], *from_teacher[kind]["ci95"]))
    direction = f"; {metric.direction}" if metric.direction else ""
    yield (
        f"Projected minus teacher is {mean} {metric.step} on {KIND_NAMES[kind]} (95 % interval {low} to "
        f"{high}{direction})."
    )
    shown: dict[str, list[str]] = {}
    for method, on, verdict in _verdicts(metrics):
        if verdict not in UNCLEAR:
            shown.setdefault(f"{verdict} than {title_of(method)}", []).append(on)
    if shown:
        findings = [f"{verdict} on {listed_kinds(kinds)}" for verdict, kinds in shown.items()]
        yield f"Projected models are {'; '.join(findings)}."


def _cannot(metrics: Metrics) -> Iterator[str]:
    """What does not show, and why: that intervals are wide is said last, and always."""
    metric, seeds = METRICS[metrics["metric"]], seeds_of(metrics)
    verdicts = [verdict for _, _, verdict in _verdicts(metrics)]
    yield (
        f"Which method is better: of {len(verdicts)} differences, {_unclear(verdicts)} have an interval that includes "
        "zero. That does not say that methods are equal."
    )
    if TOO_FEW in verdicts:
        yield (
            f"{verdicts.count(TOO_FEW)} of them reach further than {metric.text(metric.matters)} {metric.step}, which "
            "says nothing: tasks are too few to tell."
        )
    if at_ceiling(metrics):
        yield (
            f"Every method but the controls is above {metric.value(CEILINGS[metric.name])} on "
            f"{KIND_NAMES['new_combination']}: the tasks are so easy that hardly any room is left to be better."
        )
    if seeds < FEW_SEEDS:
        yield f"{seeds} seed{'s are' if seeds > 1 else ' is'} few to know how much training runs differ by chance."
    if few := _few_judged(metrics):
        counts = [f"{metrics['results']['projected'][kind]['tasks']} of {KIND_NAMES[kind]}" for kind in few]
        yield f"Tasks are few: {_listed(counts)}."
    widths = [
        f"{metric.text(_half_width(metrics, kind))} {metric.step} on {KIND_NAMES[kind]}"
        for kind in HELD_OUT_KINDS
        if kind in metrics["differences"]["projected-teacher"]
    ]
    yield f"To show, a difference would have to be larger than about {_listed(widths)}."


def _few_judged(metrics: Metrics) -> list[str]:
    return [kind for kind in few_tasks(metrics) if kind in HELD_OUT_KINDS]


def _half_width(metrics: Metrics, kind: str) -> float:
    """How far the middle one of the intervals of differences reaches to either side."""
    intervals = [by_kind[kind]["ci95"] for by_kind in metrics["differences"].values() if kind in by_kind]
    return median((high - low) / 2 for low, high in intervals)


def _listed(texts: Sequence[str]) -> str:
    """'one', 'one and two', 'one, two and three'."""
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))
