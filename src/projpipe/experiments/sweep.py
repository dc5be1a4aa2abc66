"""The sweep over student sizes: Optuna proposes, Ray tasks train, one process owns the study."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from projpipe.config import StudentConfig, StudentSpace, SweepStudentsConfig
from projpipe.errors import InputError
from projpipe.experiments.study import best_validation_score, direction, finished_trials, open_study
from projpipe.methods.projected import PROJECTED
from projpipe.metric import Metric
from projpipe.training.cluster import as_task, result_of
from projpipe.training.run_inputs import RunInputs, deciding
from projpipe.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    import optuna

ATTEMPTS = 20  # to get a size out of a sampler that was not tried yet
logger = logging.getLogger(__name__)


def run_sweep(inputs: RunInputs, config: SweepStudentsConfig, runs: Path) -> list[dict[str, Any]]:
    """Search student sizes for good validation scores and few deployed parameters.

    Suggestions are asked for and results are told in whole batches of `trials_at_once`, with a sampler seeded anew
    by the number of finished trials: a stopped sweep goes on with the suggestions it would have made. No size is
    tried twice; there are fewer trials than asked for if the space has fewer sizes.

    Args:
        inputs: the run that every trial is, but for the size of its student.
        runs: folder for the journal of the study, which all workers must see.

    Returns:
        One row a trial, as `schemas.TRIALS` wants them.

    Raises:
        InputError: a size of the space is no smaller than the teacher, or the cluster has no room.
    """
    check_space(config.space, inputs.source.spec)
    inputs = replace(inputs, config=inputs.config.of_method(PROJECTED.name))
    metric = inputs.objective.metric
    decided_by = deciding(inputs.config, inputs.config.known_rates[PROJECTED.name])
    name = inputs.stage(runs, "sweep", decided_by | {"sweep": config.model_dump(mode="json", exclude={"trials"})})
    folder = (runs / name).resolve()
    study = open_study(name, folder, [direction(metric), "minimize"])
    count = min(config.trials, len(sizes(config.space)))
    num_classes = int(median(len(task) for task in inputs.validation_tasks))
    while (done := len(finished := finished_trials(study))) < count:
        train, device = as_task(best_validation_score, inputs.config.ray)
        import ray  # not before: it is connected with a token

        kind = "GPU" if device.type == "cuda" else "CPU"
        at_once = config.trials_at_once or int(ray.cluster_resources().get(kind, 1))
        study.sampler = make_sampler(config.sampler, config.seed + done, config.trials)
        tried = [StudentConfig(**trial.user_attrs["student"]) for trial in finished]
        asked = ask_new(study, config.space, tried, min(at_once, count - done))
        settings, rate = inputs.config.model_dump(mode="json"), inputs.config.known_rates[PROJECTED.name]
        trials = [
            train.remote(str(folder), PROJECTED.name, settings | {"student": student.model_dump()}, rate, device)
            for _, student in asked
        ]
        scores = [result_of(trial) for trial in trials]
        for number, ((trial, student), score) in enumerate(zip(asked, scores, strict=True), start=done + 1):
            params = inputs.source.spec.student(**student.model_dump()).deployed_params(num_classes)
            trial.set_user_attr("student", student.model_dump())
            study.tell(trial, [score, params])
            size = " x ".join(f"{value:g}" for value in student.model_dump().values())
            logger.info(
                "trial %d of %d: %s, %s parameters, %s", number, count, size, f"{params:,}", metric.named(score)
            )
    rows = [
        {**trial.user_attrs["student"], "validation_score": trial.values[0], "params": int(trial.values[1])}
        for trial in finished[:count]
    ]
    return [
        {"trial": i, **row, "pareto": not any(_dominates(other, row, metric) for other in rows)}
        for i, row in enumerate(rows)
    ]


def check_space(space: StudentSpace, source: TransformerSpec) -> None:
    """Refuse a space with a size that could not be trained, before anything is."""
    for embed_dim in space.embed_dim:
        heads = [count for count in space.num_heads if embed_dim % count == 0]
        if not heads:
            raise InputError(
                f"sweep_students.space: embed_dim {embed_dim} is divisible by none of num_heads "
                f"{list(space.num_heads)}; change one of them"
            )
        for depth, mlp_ratio in product(space.depth, space.mlp_ratio):
            source.student(embed_dim, depth, heads[0], mlp_ratio, place="sweep_students.space")


def sizes(space: StudentSpace) -> list[StudentConfig]:
    """All sizes of a space, in order."""
    return [
        StudentConfig(embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)
        for embed_dim, depth, num_heads, mlp_ratio in product(
            space.embed_dim, space.depth, space.num_heads, space.mlp_ratio
        )
        if embed_dim % num_heads == 0
    ]


def ask_new(
    study: optuna.Study, space: StudentSpace, tried: Sequence[StudentConfig], count: int
) -> list[tuple[optuna.Trial, StudentConfig]]:
    """Ask the study for `count` sizes that were not tried: samplers like to repeat what was good, and training is dear.

    A sampler that insists gets the first size left over.
    """
    import optuna

    known = list(tried)
    asked: list[tuple[optuna.Trial, StudentConfig]] = []
    while len(asked) < count:
        for attempt in range(ATTEMPTS + 1):
            if attempt == ATTEMPTS:
                left = next(size for size in sizes(space) if size not in known)
                study.enqueue_trial(_as_suggested(left))
            trial = study.ask()
            student = suggest(trial, space)
            if student not in known:
                break
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        known.append(student)
        asked.append((trial, student))
    return asked


def _as_suggested(student: StudentConfig) -> dict[str, Any]:
    """The parameters by which `suggest` arrives at a size."""
    values = student.model_dump()
    values[f"num_heads at {student.embed_dim}"] = values.pop("num_heads")
    return values


def suggest(trial: optuna.Trial, space: StudentSpace) -> StudentConfig:
    """A size out of the space; the number of heads is chosen among those that divide the width."""
    embed_dim = trial.suggest_categorical("embed_dim", space.embed_dim)
    heads = [count for count in space.num_heads if embed_dim % count == 0]
    return StudentConfig(
        embed_dim=embed_dim,
        depth=trial.suggest_categorical("depth", space.depth),
        num_heads=trial.suggest_categorical(f"num_heads at {embed_dim}", heads),
        mlp_ratio=trial.suggest_categorical("mlp_ratio", space.mlp_ratio),
    )


def make_sampler(name: str, seed: int, trials: int) -> optuna.samplers.BaseSampler:
    """The named Optuna sampler; its first third of the trials is random."""
    from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

    if name == "tpe":
        return TPESampler(seed=seed, n_startup_trials=max(2, trials // 3))
    return {"nsga2": NSGAIISampler, "random": RandomSampler}[name](seed=seed)


def _dominates(one: dict[str, Any], other: dict[str, Any], metric: Metric) -> bool:
    """At least as good in score and size, and not the same in both."""
    mine, theirs = one["validation_score"], other["validation_score"]
    as_good = mine == theirs or metric.better(mine, theirs)
    return as_good and one["params"] <= other["params"] and (mine, one["params"]) != (theirs, other["params"])
