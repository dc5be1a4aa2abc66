"""Comparisons: every method of every table trained with every seed, each as a Ray task of its own, and judged.

What is finished is kept as one small file a method and seed, so that a comparison that was stopped, or that has grown
by a table, trains only what is missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from projpipe.atomic import write_atomically
from projpipe.config import ComparedMethod, CompareMethodsConfig, ComparisonTable, RayConfig, TrainProjectorConfig
from projpipe.config.base import describe_problem
from projpipe.errors import DivergenceError, InputError
from projpipe.metric import Metric
from projpipe.training.controls import CONTROLS
from projpipe.training.distributed import connect, result_of
from projpipe.training.part import PER_TASK, PRUNED_ONLY, Judged, Part, pruned_shape, train_part
from projpipe.training.progress import followed_progress, last_progress
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.objectives import Objective
from projpipe.transformer.spec import TransformerSpec

RESERVED = {"teacher", PRUNED_ONLY, *CONTROLS}
logger = logging.getLogger(__name__)


def run_comparison(
    parts: Sequence[Part], inputs: RunInputs, judged: Judged, sampled: list[list[int]], runs: Path
) -> list[dict[str, Any]]:
    """Train and judge all parts that are not finished, as many at once as there are CPUs or GPUs.

    Args:
        judged: the held-out tasks.
        sampled: class ids of those of them that methods which train a model per task are trained for.
        runs: folder for inputs and outcomes, which all workers must see.

    Returns:
        The outcome of every part, in order, see `train_part`.

    Raises:
        InputError: a student is smaller than pruning can make the teacher, or the cluster has no room.
    """
    for part in parts:
        if part.method == "pruned":
            pruned_shape(part, inputs.source.spec, sampled)
    name = inputs.stage(runs, "comparison", {"judged": judged, "sampled": sampled})
    folder = (runs / name).resolve()
    missing = {part.file(): part for part in parts if not (folder / part.file()).exists()}
    logger.info("%d of %d parts are finished", len(parts) - len(missing), len(parts))
    if missing:
        _train_on_ray(folder, list(missing.values()), judged, sampled, inputs.objective.metric, inputs.config.ray)
    return [json.loads((folder / part.file()).read_text()) for part in parts]


def check_parts(parts: Sequence[Part], teacher: TransformerSpec, objective: Objective | type[Objective]) -> None:
    """Refuse what does not fit a teacher, which may not be trained yet.

    Raises:
        InputError: a student is not smaller than the teacher, or a method is not there for the objective, with the
            table and the row; or no row is of a model for all tasks.
    """
    if all(part.method in PER_TASK for part in parts):
        raise InputError(
            "compare_methods.tables: every row trains a model for each task; add one for all tasks, such as projected, "
            "to set them against"
        )
    for part in parts:
        teacher.student(**part.config.student.model_dump(), place=part.place)
        if part.method in PER_TASK and not objective.per_task:
            raise InputError(f"{part.place}: {part.method} is not there for {objective.name}; leave it out")


def check_sampled(count: int, held_out: int) -> None:
    """Refuse to sample more tasks than there are to judge on.

    Raises:
        InputError: names both numbers.
    """
    if count > held_out:
        raise InputError(
            f"compare_methods.sampled_tasks: {count} is more than the {held_out} held-out tasks of split_tasks; lower "
            "it, or have more drawn"
        )


def plan(config: CompareMethodsConfig, base: TrainProjectorConfig) -> list[Part]:
    """All parts of a comparison, table by table.

    Raises:
        InputError: a change is no parameter of `train_projector` or out of range, a learning rate is missing, a name
            stands there twice or is taken, or controls are asked of what does not look at the task.
    """
    parts: list[Part] = []
    tables = [table.name for table in config.tables]
    if repeated := {name for name in tables if tables.count(name) > 1}:
        raise InputError(f"compare_methods.tables: {min(repeated)!r} stands there twice; give one of them another name")
    if "teacher" in tables:
        raise InputError("compare_methods.tables: 'teacher' is what the teacher itself goes by; give another name")
    for table in config.tables:
        place = f"compare_methods.tables ({table.name!r})"
        names = [method.name or method.method for method in table.methods]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise InputError(f"{place}.methods: {min(repeated)!r} stands there twice; give one of them another name")
        if taken := RESERVED & set(names):
            raise InputError(f"{place}.methods: {min(taken)!r} is the name of a row that is added; give another one")
        for position, (name, method) in enumerate(zip(names, table.methods, strict=True)):
            resolved = _resolve(base, table, method, f"{place}.methods ({name!r})")
            rate = method.learning_rate or getattr(resolved.learning_rates, method.method, None)
            if rate is None:
                raise InputError(f"{place}.methods ({name!r}): {method.method} has no learning_rate; give it one")
            controls = table.controls and position == 0
            if controls and method.method != "projected":
                raise InputError(f"{place}.controls: {name!r} does not look at the task; put a projected row first")
            parts += [
                Part(table.name, name, method.method, resolved.model_copy(update={"seeds": (seed,)}), rate, controls)
                for seed in table.seeds
            ]
    return parts


def _resolve(
    base: TrainProjectorConfig, table: ComparisonTable, method: ComparedMethod, place: str
) -> TrainProjectorConfig:
    settings = base.model_dump()
    for changes in (table.changes, method.changes, {"seeds": table.seeds}):
        settings = _merge(settings, changes)
    try:
        return TrainProjectorConfig.model_validate(settings)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise InputError(f"{place}.changes: {where}: {describe_problem(problem)}") from error


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with changes, nested ones merged."""
    merged = dict(settings)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(settings.get(key), dict)
        merged[key] = _merge(settings[key], value) if both else value
    return merged


def _train_on_ray(
    folder: Path, parts: Sequence[Part], judged: Judged, sampled: list[list[int]], metric: Metric, config: RayConfig
) -> None:
    """Train parts as Ray tasks and write the outcome of each as soon as it is there; raises when all have ended."""
    use_gpu = bool(connect(config).use_gpu)
    import ray  # not before: it is connected with a token

    device = torch.device("cuda" if use_gpu else "cpu")
    train = ray.remote(num_cpus=1, num_gpus=int(use_gpu), max_retries=1)(train_part)
    for part in parts:
        (folder / part.progress_file()).unlink(missing_ok=True)  # of a run that was stopped
    running = {train.remote(folder, part, judged, sampled, device): part for part in parts}
    steps = sum(part.config.optimisation.steps for part in parts)
    done = 0
    failed: list[Exception] = []
    with followed_progress("train and judge", steps, "starting workers", partial(steps_done, folder, parts)):
        while running:
            (ready,), _ = ray.wait(list(running))
            part = running.pop(ready)
            try:
                outcome = result_of(ready)
            except (InputError, ray.exceptions.RayError) as error:
                (folder / part.progress_file()).unlink(missing_ok=True)
                named = f"{part.place}, seed {part.seed}: {error}"
                failed.append(InputError(named) if isinstance(error, DivergenceError) else error)
                logger.error("%s; the other parts go on", named)
                continue
            with write_atomically(folder / part.file()) as temporary:
                temporary.write_text(json.dumps(outcome))
            (folder / part.progress_file()).unlink(missing_ok=True)
            done += 1
            best = [row["validation_score"] for row in outcome["history"] if row["kept"]][-1]
            logger.info(
                "%d of %d: %s, %s, seed %d: %s on validation tasks",
                done,
                len(parts),
                part.table,
                part.name,
                part.seed,
                metric.named(best),
            )
    if failed:
        raise min(failed, key=lambda error: not isinstance(error, InputError))


def steps_done(folder: Path, parts: Sequence[Part]) -> tuple[int, str] | None:
    """How many steps of all parts are done, and how many parts are at work; None where all are still to start."""
    done = at_work = 0
    for part in parts:
        if (folder / part.file()).exists():
            done += part.config.optimisation.steps
        elif row := last_progress(folder / part.progress_file()):
            done += row["step"]
            at_work += 1
    steps = sum(part.config.optimisation.steps for part in parts)
    return (done, f"step {done:,}/{steps:,}  {at_work} at work") if at_work or done else None
