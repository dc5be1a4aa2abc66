"""The parts of a comparison: every method of every table with every seed, refused where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from projpipe.config import ComparedMethod, Comparison, ComparisonTable, TrainProjectorConfig
from projpipe.config.base import describe_problem
from projpipe.errors import InputError
from projpipe.experiments.trial import PER_TASK, PRUNED_ONLY, Part
from projpipe.methods.controls import CONTROLS
from projpipe.objectives import Objective
from projpipe.transformer.spec import TransformerSpec

PLACE = "compare_methods.comparisons"  # where tables stand among the parameters, for errors
RESERVED = {"teacher", PRUNED_ONLY, *CONTROLS}


def check_parts(parts: Sequence[Part], teacher: TransformerSpec, objective: Objective | type[Objective]) -> None:
    """Refuse what does not fit a teacher, which may not be trained yet.

    Raises:
        InputError: a student is not smaller than the teacher, or a method is not there for the objective, with the
            table and the row; or no row is of a model for all tasks.
    """
    if all(part.method in PER_TASK for part in parts):
        raise InputError(
            f"{PLACE}: every row trains a model for each task; add one for all tasks, such as projected, to set them "
            "against"
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
            f"{PLACE}, sampled_tasks: {count} is more than the {held_out} held-out tasks of split_tasks; lower it, or "
            "have more drawn"
        )


def plan(config: Comparison, base: TrainProjectorConfig) -> list[Part]:
    """All parts of a comparison, table by table.

    Raises:
        InputError: a change is no parameter of `train_projector` or out of range, a learning rate is missing, a name
            stands there twice or is taken, or controls are asked of what does not look at the task.
    """
    tables = [table.name for table in config.tables]
    _check_distinct(tables, f"{PLACE}, tables")
    if "teacher" in tables:
        raise InputError(f"{PLACE}, tables: 'teacher' is what the teacher itself goes by; give another name")
    return [part for table in config.tables for part in _parts(table, base)]


def _parts(table: ComparisonTable, base: TrainProjectorConfig) -> list[Part]:
    """The parts of one table, row by row."""
    parts: list[Part] = []
    place = f"{PLACE}, table {table.name!r}"
    names = [method.name or method.method for method in table.methods]
    _check_distinct(names, place)
    if taken := RESERVED & set(names):
        raise InputError(f"{place}: {min(taken)!r} is the name of a row that is added; give another one")
    for position, (name, method) in enumerate(zip(names, table.methods, strict=True)):
        resolved = _resolve(base, table, method, f"{place}, row {name!r}")
        rate = method.learning_rate or getattr(resolved.learning_rates, method.method, None)
        if rate is None:
            raise InputError(f"{place}, row {name!r}: {method.method} has no learning_rate; give it one")
        controls = table.controls and position == 0
        if controls and method.method != "projected":
            raise InputError(f"{place}, controls: {name!r} does not look at the task; put a projected row first")
        parts += [
            Part(table.name, name, method.method, resolved.model_copy(update={"seeds": (seed,)}), rate, controls)
            for seed in table.seeds
        ]
    return parts


def _check_distinct(names: Sequence[str], place: str) -> None:
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{place}: {min(repeated)!r} stands there twice; give one of them another name")


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
        raise InputError(f"{place}, changes: {where}: {describe_problem(problem)}") from error


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with changes, nested ones merged."""
    merged = dict(settings)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(settings.get(key), dict)
        merged[key] = _merge(settings[key], value) if both else value
    return merged
