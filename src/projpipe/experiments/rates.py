"""Learning rates and schedules that are found on validation tasks, with as many short runs for each method."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats.qmc import Halton

from projpipe.config import MethodSchedule, TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.experiments.study import best_validation_score, direction, finished_trials, open_study
from projpipe.metric import Metric
from projpipe.training.cluster import as_task, first_of, result_of
from projpipe.training.run_inputs import RunInputs, deciding

if TYPE_CHECKING:
    import optuna

COARSE = (0.0005, 0.002, 0.008, 0.032)  # then half and twice the best of these
LOWEST, HIGHEST = COARSE[0] / 2, COARSE[-1] * 2
# The lowest and the highest that are tried of other schedules; of averaging, what is forgotten in a step.
WARMUPS, DECAYS, FORGETTING = (0.02, 0.4), (0.001, 0.3), (0.001, 0.1)
JUDGEMENTS = 4  # of a short run
MOST_SCHEDULES = 1000  # that a study can hold


class Point(NamedTuple):
    """What a short run tries: a learning rate, and a schedule by its place among those that are tried.

    0 is that of `optimisation`.
    """

    learning_rate: float
    schedule: int = 0


Scores = dict[Point, float]  # on validation tasks
logger = logging.getLogger(__name__)


def with_learning_rates(inputs: RunInputs, methods: Sequence[str], runs: Path) -> tuple[RunInputs, dict[str, object]]:
    """Inputs whose learning rates are known: as they are given, or found where they are `auto`.

    Every method gets `len(COARSE) + 2` runs of `rate_search.steps` with the first seed, and keeps the rate with the
    best score on the validation tasks, those of new classes among them. With that rate `rate_search.schedules` other
    schedules are tried, and the best is kept. What is finished is in the journal of the folder and is not done again.

    Args:
        methods: whose rates are wanted.
        runs: folder for inputs and journal, which all workers must see.

    Returns:
        The inputs; and for each method its `learning_rate`, and the `validation_scores` of those that were tried. Where
        other schedules were tried, its `schedule` and the `schedule_scores` too, first that of `optimisation`.

    Raises:
        InputError: the student is not smaller than its source, schedules are both given and looked for, or the cluster
            has no room.
    """
    config = inputs.config
    if config.learning_rates is not None:
        return inputs, {name: _described(Point(rate), {}, []) for name, rate in config.known_rates.items()}
    steps = config.rate_search.steps or max(1, config.optimisation.steps // 4)
    schedule = {"steps": steps, "validate_every": max(1, steps // JUDGEMENTS)}
    short = config.model_copy(
        update={"seeds": config.seeds[:1], "optimisation": config.optimisation.model_copy(update=schedule)}
    )
    judged_by = [*inputs.validation_tasks, *inputs.new_class_validation_tasks]
    searched = replace(inputs, config=short, validation_tasks=judged_by)
    inputs.source.spec.student(**config.student.model_dump(), place="train_projector.student")  # refuses first
    if config.schedules and config.rate_search.schedules:
        raise InputError(
            f"train_projector.schedules: {', '.join(config.schedules)} are given, and rate_search.schedules looks for "
            "others; leave one of the two out"
        )
    schedules = [MethodSchedule(), *schedules_to_try(config.rate_search.schedules)]
    tried = _search(searched, methods, schedules, runs)
    metric = inputs.objective.metric
    chosen = {method: best_point(scores, metric) for method, scores in tried.items()}
    for method, (rate, position) in chosen.items():
        if rate in (LOWEST, HIGHEST):
            logger.warning("%s: the best learning rate, %g, is the last that is tried on its side", method, rate)
        own = schedules[position].model_dump(exclude_none=True)
        logger.info(
            "learning rate of %s: %g%s (%s after %d steps, on %d validation tasks)",
            method,
            rate,
            "".join(f", {name} {value:g}" for name, value in own.items()),
            metric.named(tried[method][chosen[method]]),
            steps,
            len(judged_by),
        )
    update = {
        "learning_rates": {method: point.learning_rate for method, point in chosen.items()},
        "schedules": config.schedules
        | {method: schedules[point.schedule] for method, point in chosen.items() if point.schedule},
    }
    described: dict[str, object] = {
        method: _described(point, tried[method], schedules) for method, point in chosen.items()
    }
    return replace(inputs, config=config.model_copy(update=update)), described


def _described(chosen: Point, tried: Scores, schedules: Sequence[MethodSchedule]) -> dict[str, object]:
    """What was chosen, and what it was chosen from, as JSON values."""
    rates = {point.learning_rate: score for point, score in sorted(tried.items()) if point.schedule == 0}
    described: dict[str, object] = {
        "learning_rate": chosen.learning_rate,
        "validation_scores": {f"{rate:g}": round(score, 6) for rate, score in rates.items()},
    }
    if len(schedules) > 1:
        scores = [tried[Point(chosen.learning_rate, position)] for position in range(len(schedules))]
        described["schedule"] = schedules[chosen.schedule].model_dump(exclude_none=True)
        described["schedule_scores"] = [round(score, 6) for score in scores]
    return described


def schedules_to_try(count: int) -> list[MethodSchedule]:
    """So many schedules, evenly spread over their ranges on logarithmic scales (Halton's sequence)."""
    lowest, highest = np.log([WARMUPS, DECAYS, FORGETTING]).T
    spread = Halton(3, scramble=True, rng=0).random(count)
    return [
        MethodSchedule(warmup_fraction=warmup, weight_decay=decay, ema_decay=round(1 - forgetting, 4))
        for warmup, decay, forgetting in np.exp(lowest + spread * (highest - lowest)).round(4).tolist()
    ]


def _search(
    inputs: RunInputs, methods: Sequence[str], schedules: Sequence[MethodSchedule], runs: Path
) -> dict[str, Scores]:
    """The scores of every point that is tried, by method."""
    metric = inputs.objective.metric
    name = inputs.stage(runs, "rates", deciding(inputs.config, learning_rate=0.0))
    folder = (runs / name).resolve()
    studies = {method: open_study(f"{name}-{method}", folder, [direction(metric)]) for method in methods}
    while pending := {
        method: points
        for method, study in studies.items()
        if (points := next_points(_scores(study, schedules), len(schedules), metric))
    }:
        _train(inputs, folder, studies, pending, schedules)
    return {method: _scores(study, schedules) for method, study in studies.items()}


def _scores(study: optuna.Study, schedules: Sequence[MethodSchedule]) -> Scores:
    """Those of a study, which may hold more schedules than are asked for now."""
    found = {Point(**trial.params): trial.values[0] for trial in finished_trials(study)}
    return {point: score for point, score in found.items() if point.schedule < len(schedules)}


def next_points(scores: Mapping[Point, float], schedules: int, metric: Metric) -> list[Point]:
    """What to try next: the coarse rates, then half and twice the best of them, then schedules at the best of all."""
    if missing := [Point(rate) for rate in COARSE if Point(rate) not in scores]:
        return missing
    middle = best_point({Point(rate): scores[Point(rate)] for rate in COARSE}, metric).learning_rate
    if missing := [Point(rate) for rate in (middle / 2, middle * 2) if Point(rate) not in scores]:
        return missing
    rate = best_point({point: score for point, score in scores.items() if point.schedule == 0}, metric).learning_rate
    return [point for position in range(1, schedules) if (point := Point(rate, position)) not in scores]


def best_point(scores: Mapping[Point, float], metric: Metric) -> Point:
    """The point with the best score; of several, the lowest rate."""
    return metric.best(sorted(scores), lambda point: scores[point])


def _train(
    inputs: RunInputs,
    folder: Path,
    studies: Mapping[str, optuna.Study],
    pending: Mapping[str, list[Point]],
    schedules: Sequence[MethodSchedule],
) -> None:
    """Run the pending points as Ray tasks, and add each to its study as it ends."""
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna.trial import create_trial

    train, device = as_task(best_validation_score, inputs.config.ray)
    space = {
        "learning_rate": FloatDistribution(LOWEST, HIGHEST, log=True),
        "schedule": IntDistribution(0, MOST_SCHEDULES),  # the same however many are asked for
    }

    def settings(method: str, point: Point) -> dict[str, object]:
        own = {method: schedules[point.schedule]} if point.schedule else {}
        with_own: TrainProjectorConfig = inputs.config.model_copy(update={"schedules": inputs.config.schedules | own})
        return with_own.of_method(method).model_dump(mode="json")

    running = {
        train.remote(str(folder), method, settings(method, point), point.learning_rate, device): (method, point)
        for method, missing in pending.items()
        for point in missing
    }
    count = len(running)
    while running:
        ready = first_of(running)
        method, point = running.pop(ready)
        score = result_of(ready)
        studies[method].add_trial(create_trial(params=point._asdict(), distributions=space, value=score))
        named = inputs.objective.metric.named(score)
        other = f" and schedule {point.schedule}" if point.schedule else ""
        done = count - len(running)
        logger.info("short run %d/%d: %s at %g%s, %s", done, count, method, point.learning_rate, other, named)
