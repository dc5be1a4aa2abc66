"""The trials of a comparison: every method of every table with every seed, refused where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from projpipe.config import ComparedMethod, Comparison, ComparisonTable, StudentConfig, TrainProjectorConfig
from projpipe.config.base import describe_problem
from projpipe.errors import InputError
from projpipe.experiments.trial import Trial
from projpipe.methods import registry
from projpipe.methods.controls import CONTROLS
from projpipe.methods.method import sizes_of
from projpipe.methods.projected import PROJECTED
from projpipe.objectives import Objective
from projpipe.transformer.spec import TransformerSpec

PLACE = "compare_methods.comparisons"  # where tables stand among the parameters, for errors


def check_trials(trials: Sequence[Trial], teacher: TransformerSpec, objective: Objective | type[Objective]) -> None:
    """Refuse what does not fit a teacher, which may not be trained yet.

    Raises:
        InputError: a student is not smaller than the teacher, or a method is not there for the objective, with the
            table and the row; or no row is of a model for all tasks.
    """
    if all(registry.METHODS[trial.method].per_task for trial in trials):
        raise InputError(
            f"{PLACE}: every row trains a model for each task; add one for all tasks, such as projected, to set them "
            "against"
        )
    for trial in trials:
        student = teacher.student(**trial.config.student.model_dump(), place=trial.place)
        sizes = sizes_of(trial.config, student, teacher)
        if sizes is not None and trial.size is not None:
            sizes.check(teacher.student(**trial.size.model_dump(), place=trial.place), f"{trial.place}, size")
        if registry.METHODS[trial.method].per_task and not objective.per_task:
            raise InputError(f"{trial.place}: {trial.method} is not there for {objective.name}; leave it out")


def reserved_names() -> set[str]:
    """Names of rows that are added to a table, which no row may be given."""
    return {"teacher", *registry.untrained_rows(), *CONTROLS}


def check_sampled(comparison: Comparison, pool: int) -> None:
    """Refuse to sample more tasks than the `pool` has that they are sampled from.

    Raises:
        InputError: names both numbers.
    """
    if comparison.sampled_tasks > pool:
        which = " whose classes belong together" if comparison.sampled_from == "coherent" else ""
        raise InputError(
            f"{PLACE}, sampled_tasks: {comparison.sampled_tasks} is more than the {pool} "
            f"held-out tasks of split_tasks{which}; lower it, or have more drawn"
        )


def with_any_rates(base: TrainProjectorConfig) -> TrainProjectorConfig:
    """The same with some rate for each method where they are yet to be found, to see whether a plan fits."""
    if base.learning_rates is not None:
        return base
    found = [name for name, method in registry.METHODS.items() if not method.per_task]
    return base.model_copy(update={"learning_rates": dict.fromkeys(found, 1.0)})


def without_rates(config: Comparison) -> list[str]:
    """The methods of rows that state no learning rate, but for those that train a model for each task."""
    rows = [row for table in config.tables for row in table.methods if row.learning_rate is None]
    known = (registry.find(row.method, PLACE) for row in rows)
    return list(dict.fromkeys(method.name for method in known if not method.per_task))


def plan(config: Comparison, base: TrainProjectorConfig) -> list[Trial]:
    """All trials of a comparison, table by table.

    Raises:
        InputError: a change is no parameter of `train_projector` or out of range, a learning rate is missing, a name
            stands there twice or is taken, controls are asked of what does not look at the task, or a specialist has no
            shared row to start from.
    """
    tables = [table.name for table in config.tables]
    _check_distinct(tables, f"{PLACE}, tables")
    if "teacher" in tables:
        raise InputError(f"{PLACE}, tables: 'teacher' is what the teacher itself goes by; give another name")
    return _with_all_sizes([trial for table in config.tables for trial in _trials(table, base)])


def _with_all_sizes(trials: list[Trial]) -> list[Trial]:
    """The same, each judged at the sizes of all rows that are trained alike, so that they are trained once."""
    files = [trial.file() for trial in trials]
    sizes: dict[str, dict[StudentConfig, None]] = {file: {} for file in files}
    for file, trial in zip(files, trials, strict=True):
        if trial.size is not None:
            sizes[file][trial.size] = None
    return [replace(trial, sizes=tuple(sizes[file])) for file, trial in zip(files, trials, strict=True)]


def _trials(table: ComparisonTable, base: TrainProjectorConfig) -> list[Trial]:
    """The trials of one table, row by row."""
    trials: list[Trial] = []
    place = f"{PLACE}, table {table.name!r}"
    names = [row.name or row.method for row in table.methods]
    _check_distinct(names, place)
    if taken := reserved_names() & set(names):
        raise InputError(f"{place}: {min(taken)!r} is the name of a row that is added; give another one")
    methods = [
        registry.find(row.method, f"{place}, row {name!r}") for name, row in zip(names, table.methods, strict=True)
    ]
    if any(method.starts_from_shared for method in methods) and not any(method.shared for method in methods):
        shared = ", ".join(name for name, method in registry.METHODS.items() if method.shared)
        starting = next(method.name for method in methods if method.starts_from_shared)
        raise InputError(f"{place}: {starting} starts from a shared model, and there is none; add one of {shared}")
    for position, (name, row) in enumerate(zip(names, table.methods, strict=True)):
        resolved = _resolve(base.of_method(row.method), table, row, f"{place}, row {name!r}")
        resolved = resolved.of_method(row.method)  # of schedules that the changes state
        rate = row.learning_rate or resolved.known_rates.get(row.method)
        if rate is None:
            raise InputError(f"{place}, row {name!r}: {row.method} has no learning_rate; give it one")
        controls = table.controls and position == 0
        if controls and row.method != PROJECTED.name:
            raise InputError(f"{place}, controls: {name!r} does not look at the task; put a projected row first")
        if row.size is not None and (resolved.smallest is None or controls):
            raise InputError(
                f"{place}, row {name!r}, size: is one of many sizes; give changes.smallest, or leave size out"
                if resolved.smallest is None
                else f"{place}, controls: are of the largest size; leave {name!r} without a size"
            )
        of_seeds = [resolved.model_copy(update={"seeds": (seed,)}) for seed in table.seeds]
        trials += [Trial(table.name, name, row.method, config, rate, controls, size=row.size) for config in of_seeds]
    return trials


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
        raise InputError(f"{place}, changes: {where}: {describe_problem(problem, TrainProjectorConfig)}") from error


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with changes, nested ones merged."""
    merged = dict(settings)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(settings.get(key), dict)
        merged[key] = _merge(settings[key], value) if both else value
    return merged
