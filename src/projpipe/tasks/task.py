"""A task: a set of classes to tell apart, with a name to show it by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd

from projpipe.config import Kind
from projpipe.tasks.classes import Classes

Strategy = Literal["random", "group", "explicit"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
COHERENT = ("group", "explicit")  # the strategies whose tasks have classes that belong together
NAME_LENGTH = 48


@dataclass(frozen=True)
class Task:
    """A set of classes, as sorted class ids. `kind` says what it is for, `strategy` how it was made.

    `name` is "" where the task has none of its own. A train task is drawn `weight` times as often as one of weight 1.
    """

    classes: tuple[int, ...]
    kind: Kind
    strategy: Strategy
    name: str = ""
    weight: float = 1.0


def class_ids_of(tasks: pd.DataFrame, kind: str | None = None) -> list[list[int]]:
    """Class ids of every task, or of those of a kind, out of the table of `schemas.TASKS`."""
    asked = tasks if kind is None else tasks[tasks["kind"] == kind]
    return [list(map(int, ids)) for ids in asked["class_ids"]]


def train_weights_of(tasks: pd.DataFrame) -> list[float]:
    """How often every train task of the table is drawn, against the others."""
    weights: list[float] = tasks.loc[tasks["kind"] == "train", "weight"].tolist()
    return weights


def classes_in(tasks: Iterable[Sequence[int]]) -> set[int]:
    """The ids of all classes that any of the tasks has."""
    return {class_id for task in tasks for class_id in task}


def median_by_size(tasks: Sequence[Sequence[int]]) -> Sequence[int]:
    """The task in the middle when they are ordered by their number of classes."""
    return sorted(tasks, key=len)[len(tasks) // 2]


def are_coherent(tasks: pd.DataFrame) -> pd.Series[bool]:
    """Of every task in the table of `schemas.TASKS`, whether its classes belong together."""
    return tasks["strategy"].isin(COHERENT)


def sorts_of(tasks: pd.DataFrame) -> list[str]:
    """Of every task in the table of `schemas.TASKS`, its kind and whether its classes belong together."""
    together = are_coherent(tasks).map({True: "coherent", False: "random"})
    return (tasks["kind"] + ", " + together).tolist()


def name_of(task: Sequence[int], classes: Classes) -> str:
    """A short name made of the class names, such as 'Bag, Coat'.

    Long ones are cut and counted, as in 'Greek: character01, character05, … (12)'; a whole group is 'Greek (24)'.
    """
    group = classes.groups[task[0]]
    names = [classes.names[class_id] for class_id in task]
    start = ""
    if group and all(classes.groups[class_id] == group for class_id in task):
        if len(task) == len(classes.by_group()[group]):
            return f"{group} ({len(task)})"
        start = f"{group}: "
        names = [name.removeprefix(f"{group}/") for name in names]
    whole = start + ", ".join(names)
    if len(whole) <= NAME_LENGTH:
        return whole
    end = f", … ({len(task)})"
    shown = 1
    while len(start + ", ".join(names[: shown + 1]) + end) <= NAME_LENGTH:
        shown += 1
    return start + ", ".join(names[:shown]) + end


def task_table(tasks: Sequence[Task], classes: Classes) -> pd.DataFrame:
    """The table of `schemas.TASKS`, in the order of `tasks`; a name seen before is numbered, so that all differ."""
    seen: Counter[str] = Counter()
    names = []
    for task in tasks:
        name = task.name or name_of(task.classes, classes)
        seen[name] += 1
        names.append(f"{name} #{seen[name]}" if seen[name] > 1 else name)
    return pd.DataFrame(
        {
            "task_id": pd.Series(range(len(tasks)), dtype="int64"),
            "name": pd.Series(names, dtype="str"),
            "class_ids": pd.Series([list(task.classes) for task in tasks], dtype="object"),
            "kind": pd.Series([task.kind for task in tasks], dtype="str"),
            "strategy": pd.Series([task.strategy for task in tasks], dtype="str"),
            "weight": pd.Series([task.weight for task in tasks], dtype="float64"),
        }
    )
