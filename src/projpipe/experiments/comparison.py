"""Comparisons: every method of every table trained with every seed, each as a Ray task of its own, and judged.

What is finished is kept as one small file a method and seed, so that a comparison that was stopped, or that has grown
by a table, trains only what is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from projpipe.config import RayConfig
from projpipe.errors import DivergenceError, InputError
from projpipe.experiments.outcome import Outcome
from projpipe.experiments.trial import JudgedTasks, Trial, run_trial
from projpipe.methods.registry import METHODS
from projpipe.metric import Metric
from projpipe.training.cluster import as_task, first_of, result_of
from projpipe.training.history import last_kept
from projpipe.training.progress import followed_progress, last_progress
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.spec import TransformerSpec

logger = logging.getLogger(__name__)


def run_comparison(
    trials: Sequence[Trial], inputs: RunInputs, judged: JudgedTasks, sampled: list[list[int]], runs: Path
) -> list[Outcome]:
    """Run all trials that are not finished, as many at once as there are CPUs or GPUs.

    Args:
        judged: the held-out tasks.
        sampled: class ids of those of them that methods which train a model per task are trained for.
        runs: folder for inputs and outcomes, which all workers must see.

    Returns:
        The outcome of every trial, in order.

    Raises:
        InputError: a student is smaller than pruning can make the teacher, or the cluster has no room.
    """
    for trial in trials:
        _refuse(trial, inputs.source.spec, sampled)
    name = inputs.stage(runs, "comparison", {"judged": judged, "sampled": sampled})
    folder = (runs / name).resolve()
    metric, ray = inputs.objective.metric, inputs.config.ray

    def outcomes_of(wanted: list[Trial]) -> list[Outcome]:
        asked = {trial.file(): trial for trial in wanted}  # rows of one training at other sizes share it
        missing = {file: trial for file, trial in asked.items() if not trial.is_finished(folder)}
        logger.info("%d of %d trials are finished", len(asked) - len(missing), len(asked))
        if missing:
            _train_on_ray(folder, list(missing.values()), judged, sampled, metric, ray)
        return [trial.outcome(folder) for trial in wanted]

    first = [trial for trial in trials if not METHODS[trial.method].starts_from_shared]
    second = [trial for trial in trials if METHODS[trial.method].starts_from_shared]
    outcomes = outcomes_of(first)
    started = [replace(trial, start=_start_of(trial, first, outcomes, metric)) for trial in second]
    if started:
        outcomes = outcomes + outcomes_of(started)
    found = {trial.key: outcome for trial, outcome in zip(first + started, outcomes, strict=True)}
    return [found[trial.key] for trial in trials]


def _start_of(trial: Trial, trials: Sequence[Trial], outcomes: Sequence[Outcome], metric: Metric) -> Trial:
    """The trial of its table's best shared row that has the same seed."""
    best = best_shared_row(trial.table, trials, outcomes, metric)
    return next(one for one in trials if one.key == (trial.table, best, trial.seed))


def best_shared_row(table: str, trials: Sequence[Trial], outcomes: Sequence[Outcome], metric: Metric) -> str:
    """The row of a table's shared models that does best on the validation tasks, in the mean over its seeds."""
    scores: dict[str, list[float]] = {}
    for trial, outcome in zip(trials, outcomes, strict=True):
        if trial.table == table and METHODS[trial.method].shared:
            scores.setdefault(trial.row, []).append(last_kept(outcome.history).validation_score)
    return metric.best(scores, lambda row: fmean(scores[row]))


def _refuse(trial: Trial, source: TransformerSpec, sampled: list[list[int]]) -> None:
    """Refuse a trial whose method cannot make such a student of such a teacher."""
    try:
        METHODS[trial.method].refuse(source, source.student(**trial.config.student.model_dump()), sampled)
    except InputError as error:
        raise InputError(f"{trial.place}: {error}") from error


def _train_on_ray(
    folder: Path,
    trials: Sequence[Trial],
    judged: JudgedTasks,
    sampled: list[list[int]],
    metric: Metric,
    config: RayConfig,
) -> None:
    """Train trials as Ray tasks and write the outcome of each as soon as it is there; raises when all have ended."""
    train, device = as_task(run_trial, config)
    import ray  # not before: it is connected with a token

    for trial in trials:
        (folder / trial.progress_file()).unlink(missing_ok=True)  # of a run that was stopped
    running = {train.remote(folder, trial, judged, sampled, device): trial for trial in trials}
    steps = sum(trial.config.optimisation.steps for trial in trials)
    done = 0
    failed: list[Exception] = []
    with followed_progress("train and judge", steps, "starting workers", partial(steps_done, folder, trials)):
        while running:
            ready = first_of(running)
            trial = running.pop(ready)
            try:
                outcome = result_of(ready)
            except (InputError, ray.exceptions.RayError) as error:
                (folder / trial.progress_file()).unlink(missing_ok=True)
                named = f"{trial.place}, seed {trial.seed}: {error}"
                failed.append(InputError(named) if isinstance(error, DivergenceError) else error)
                logger.error("%s; the other trials go on", named)
                continue
            trial.keep(folder, outcome)
            (folder / trial.progress_file()).unlink(missing_ok=True)
            done += 1
            best = last_kept(outcome.history).validation_score
            logger.info(
                "%d of %d: %s, %s, seed %d: %s on validation tasks",
                done,
                len(trials),
                trial.table,
                trial.row,
                trial.seed,
                metric.named(best),
            )
    if failed:
        raise min(failed, key=lambda error: not isinstance(error, InputError))


def steps_done(folder: Path, trials: Sequence[Trial]) -> tuple[int, str] | None:
    """How many steps of all trials are done, and how many trials are at work; None where all are still to start."""
    done = at_work = 0
    for trial in trials:
        if trial.is_finished(folder):
            done += trial.config.optimisation.steps
        elif reached := last_progress(folder / trial.progress_file()):
            done += reached.step
            at_work += 1
    steps = sum(trial.config.optimisation.steps for trial in trials)
    return (done, f"step {done:,}/{steps:,}  {at_work} at work") if at_work or done else None
