"""Draw the tasks: distinct sets of classes, of known classes or of held-out ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest

import numpy as np

from projpipe.config import ExplicitTask, SampledTasks, TaskDraw
from projpipe.errors import InputError
from projpipe.schemas import KINDS
from projpipe.tasks.classes import Classes
from projpipe.tasks.task import Kind, Task

# Tasks to judge on are drawn before those to train on, so that asking for more train tasks leaves them as they are.
KNOWN_KINDS: tuple[Kind, ...] = ("new_combination", "validation", "train")
NEW_KINDS: tuple[Kind, ...] = ("new_class",)


@dataclass
class _Stratum:
    """All sets of `size` of the `members`: drawn from without listing them, as there may be very many."""

    members: tuple[int, ...]
    size: int
    free: int

    @classmethod
    def of(cls, members: tuple[int, ...], size: int, taken: set[tuple[int, ...]]) -> "_Stratum":
        inside = sum(len(task) == size and set(members).issuperset(task) for task in taken)
        return cls(members, size, math.comb(len(members), size) - inside)

    def draw(self, taken: set[tuple[int, ...]], generator: np.random.Generator) -> tuple[int, ...]:
        """One set that is not `taken`, all of them equally likely."""
        self.free -= 1
        if 2 * self.free < math.comb(len(self.members), self.size):  # mostly taken, so there are not many
            left = [task for task in combinations(self.members, self.size) if task not in taken]
            return left[generator.integers(len(left))]
        while True:
            task = tuple(sorted(generator.choice(self.members, self.size, replace=False).tolist()))
            if task not in taken:
                return task


def sample_tasks(classes: Classes, held_out: Sequence[int], draws: Sequence[TaskDraw], seed: int) -> list[Task]:
    """All tasks that `draws` ask for, ordered by kind; within a kind the draws take turns.

    No two tasks have the same classes. `new_class` tasks consist of held-out classes, all others of known ones. Explicit
    tasks are set first, then `group` draws, then `random` ones, which have the most sets to choose from. Among the sizes
    of `classes_per_task` (and, for `group`, the groups) that have sets left, each is equally likely; sizes above what
    there is are left out.

    Raises InputError if a draw asks for more tasks than there are sets, an explicit task is not one, or there is no task
    to train on, to validate on, or to judge on.
    """
    taken: set[tuple[int, ...]] = set()
    made: dict[int, list[Task]] = {}
    for position, draw in sorted(
        enumerate(draws), key=lambda item: ("explicit", "group", "random").index(item[1].strategy)
    ):
        place = f"split_tasks.tasks[{position}]"
        if isinstance(draw, ExplicitTask):
            made[position] = [_explicit(classes, held_out, draw, taken, place)]
        else:
            made[position] = [
                task
                for kinds in (KNOWN_KINDS, NEW_KINDS)
                for task in _sample(classes, held_out, draw, kinds, taken, [seed, 2, position], place)
            ]
        taken.update(task.classes for task in made[position])
    ordered = [
        task
        for kind in KINDS
        for turn in zip_longest(*([task for task in made[i] if task.kind == kind] for i in sorted(made)))
        for task in turn
        if task is not None
    ]
    for purpose, kinds in {
        "train": ("train",),
        "validate": ("validation",),
        "judge": ("new_combination", "new_class"),
    }.items():
        if not any(task.kind in kinds for task in ordered):
            raise InputError(
                f"split_tasks.tasks: there is no task to {purpose} on; ask for at least one of kind {' or '.join(kinds)}"
            )
    return ordered


def _explicit(
    classes: Classes, held_out: Sequence[int], draw: ExplicitTask, taken: set[tuple[int, ...]], place: str
) -> Task:
    place = f"{place} ({draw.name!r})"
    task = classes.find(draw.classes, f"{place}.classes")
    if len(task) < 2:
        raise InputError(f"{place}.classes: {classes.names[task[0]]!r} alone makes no task; name at least two classes")
    wrong = [c for c in task if (c in held_out) != (draw.kind == "new_class")]
    if wrong and draw.kind == "new_class":
        raise InputError(
            f"{place}.classes: {classes.names[wrong[0]]!r} is not held out, but a new_class task has only held-out classes; "
            "add it to held_out_classes.names or change the kind"
        )
    if wrong:
        raise InputError(
            f"{place}.classes: {classes.names[wrong[0]]!r} is held out, so it cannot be in a {draw.kind} task; leave it out "
            "of the task or of held_out_classes, or make the kind new_class"
        )
    if task in taken:
        raise InputError(f"{place}.classes: an earlier task has the same classes; remove one of the two")
    return Task(task, draw.kind, "explicit", draw.name)


def _sample(
    classes: Classes,
    held_out: Sequence[int],
    draw: SampledTasks,
    kinds: tuple[Kind, ...],
    taken: set[tuple[int, ...]],
    seed: list[int],
    place: str,
) -> list[Task]:
    new = kinds == NEW_KINDS
    counts = {kind: getattr(draw.counts, kind) for kind in kinds}
    asked = sum(counts.values())
    if not asked:
        return []
    pool = tuple(held_out) if new else tuple(c for c in range(len(classes.names)) if c not in held_out)
    if draw.strategy == "group" and not any(classes.groups):
        raise InputError(f"{place}.strategy: 'group' needs groups of classes, and the data has none; use 'random'")
    low, high = draw.classes_per_task
    strata = [
        _Stratum.of(members, size, taken)
        for members in (classes.by_group(pool).values() if draw.strategy == "group" else [pool])
        for size in range(low, min(high, len(members)) + 1)
    ]
    free = sum(stratum.free for stratum in strata)
    if asked > free:
        used = sum(math.comb(len(s.members), s.size) for s in strata) - free
        raise InputError(
            f"{place}.counts ({draw.strategy}, {low} to {high} classes of {len(pool)} {'held-out' if new else 'known'} ones): "
            f"asks for {' + '.join(f'{n} {kind}' for kind, n in counts.items())} tasks, but only {free} distinct ones exist"
            f"{f' besides {used} that other draws took' if used else ''}; lower the counts, widen classes_per_task, or hold "
            f"out {'more' if new else 'fewer'} classes"
        )
    taken = set(taken)
    tasks = []
    for kind in kinds:
        generator = np.random.default_rng([*seed, KINDS.index(kind)])
        for _ in range(counts[kind]):
            open_strata = [stratum for stratum in strata if stratum.free]
            task = open_strata[generator.integers(len(open_strata))].draw(taken, generator)
            taken.add(task)
            tasks.append(Task(task, kind, draw.strategy))
    return tasks
