"""Learning rates that are found on validation tasks, with as many short runs for each method."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from projpipe.experiments.study import best_validation_score, direction, finished_trials, open_study
from projpipe.metric import Metric
from projpipe.training.cluster import as_task, result_of
from projpipe.training.run_inputs import RunInputs, deciding

if TYPE_CHECKING:
    import optuna

COARSE = (0.0005, 0.002, 0.008, 0.032)  # then half and twice the best of these
LOWEST, HIGHEST = COARSE[0] / 2, COARSE[-1] * 2
JUDGEMENTS = 4  # of a short run
Scores = dict[float, float]  # on validation tasks, by learning rate
logger = logging.getLogger(__name__)


def with_learning_rates(inputs: RunInputs, methods: Sequence[str], runs: Path) -> tuple[RunInputs, dict[str, object]]:
    """Inputs whose learning rates are known: as they are given, or found where they are `auto`.

    Every method gets `len(COARSE) + 2` runs of `rate_search.steps` with the first seed, and keeps the rate with the
    best score on the validation tasks, those of new classes among them. What is finished is in the journal of the
    folder and is not done again.

    Args:
        methods: whose rates are wanted.
        runs: folder for inputs and journal, which all workers must see.

    Returns:
        The inputs; and for each method its `learning_rate`, and the `validation_scores` of those that were tried.

    Raises:
        InputError: the student is not smaller than its source, or the cluster has no room.
    """
    config = inputs.config
    if config.learning_rates is not None:
        return inputs, _described(config.known_rates, {})
    steps = config.rate_search.steps or max(1, config.optimisation.steps // 4)
    schedule = {"steps": steps, "validate_every": max(1, steps // JUDGEMENTS)}
    short = config.model_copy(
        update={"seeds": config.seeds[:1], "optimisation": config.optimisation.model_copy(update=schedule)}
    )
    judged_by = [*inputs.validation_tasks, *inputs.new_class_validation_tasks]
    searched = replace(inputs, config=short, validation_tasks=judged_by)
    inputs.source.spec.student(**config.student.model_dump(), place="train_projector.student")  # refuses first
    tried = _search(searched, methods, runs)
    chosen = {method: best_rate(scores, inputs.objective.metric) for method, scores in tried.items()}
    for method, rate in chosen.items():
        if rate in (LOWEST, HIGHEST):
            logger.warning("%s: the best learning rate, %g, is the last that is tried on its side", method, rate)
        logger.info(
            "learning rate of %s: %g (%s after %d steps, on %d validation tasks)",
            method,
            rate,
            inputs.objective.metric.named(tried[method][rate]),
            steps,
            len(judged_by),
        )
    return replace(inputs, config=config.model_copy(update={"learning_rates": chosen})), _described(chosen, tried)


def _described(rates: Mapping[str, float], tried: Mapping[str, Scores]) -> dict[str, object]:
    """As JSON values."""
    return {
        method: {
            "learning_rate": rate,
            "validation_scores": {f"{one:g}": round(score, 6) for one, score in sorted(tried.get(method, {}).items())},
        }
        for method, rate in rates.items()
    }


def _search(inputs: RunInputs, methods: Sequence[str], runs: Path) -> dict[str, Scores]:
    """The scores of every rate that is tried, by method."""
    metric = inputs.objective.metric
    name = inputs.stage(runs, "rates", deciding(inputs.config, learning_rate=0.0))
    folder = (runs / name).resolve()
    studies = {method: open_study(f"{name}-{method}", folder, [direction(metric)]) for method in methods}
    while pending := {
        method: rates for method, study in studies.items() if (rates := next_rates(_scores(study), metric))
    }:
        _train(inputs, folder, studies, pending)
    return {method: _scores(study) for method, study in studies.items()}


def _scores(study: optuna.Study) -> Scores:
    return {trial.params["learning_rate"]: trial.values[0] for trial in finished_trials(study)}


def next_rates(scores: Mapping[float, float], metric: Metric) -> list[float]:
    """The rates to try next: the coarse ones, then half and twice the best of them."""
    if missing := [rate for rate in COARSE if rate not in scores]:
        return missing
    middle = best_rate({rate: scores[rate] for rate in COARSE}, metric)
    return [rate for rate in (middle / 2, middle * 2) if rate not in scores]


def best_rate(scores: Mapping[float, float], metric: Metric) -> float:
    """The rate with the best score; of several, the lowest."""
    sign = 1 if metric.higher_is_better else -1
    return max(sorted(scores), key=lambda rate: sign * scores[rate])


def _train(
    inputs: RunInputs, folder: Path, studies: Mapping[str, optuna.Study], pending: Mapping[str, list[float]]
) -> None:
    """Run the pending rates as Ray tasks, and add each to its study as it ends."""
    from optuna.distributions import FloatDistribution
    from optuna.trial import create_trial

    train, device = as_task(best_validation_score, inputs.config.ray)
    import ray  # not before: it is connected with a token

    log_scale = FloatDistribution(LOWEST, HIGHEST, log=True)
    settings = inputs.config.model_dump(mode="json")
    running = {
        train.remote(str(folder), method, settings, rate, device): (method, rate)
        for method, missing in pending.items()
        for rate in missing
    }
    count = len(running)
    while running:
        (ready,), _ = ray.wait(list(running))
        method, rate = running.pop(ready)
        score = result_of(ready)
        trial = create_trial(params={"learning_rate": rate}, distributions={"learning_rate": log_scale}, value=score)
        studies[method].add_trial(trial)
        done = count - len(running)
        named = inputs.objective.metric.named(score)
        logger.info("short run %d/%d: %s at %g, %s", done, count, method, rate, named)
