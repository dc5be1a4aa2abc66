"""Draw the tasks: distinct sets of classes, of known classes or of held-out ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest

import numpy as np

from projpipe.config import HELD_OUT_KINDS, ExplicitTask, Kind, SampledTasks, TaskDraw, WholeGroups
from projpipe.errors import InputError
from projpipe.tasks.classes import Classes
from projpipe.tasks.task import KINDS, Task, classes_in

# Tasks to judge on are drawn before those to train on, so that asking for more train tasks leaves them as they are.
KNOWN_KINDS: tuple[Kind, ...] = ("new_combination", "validation", "train")
NEW_KINDS: dict[Kind, str] = {"new_class": "held_out_classes", "validation_new_class": "validation_classes"}
# Strategies, those first that have the fewest sets to choose from.
DRAWN_FIRST = ("explicit", "whole_groups", "group", "random")
PURPOSES = {"train": ("train",), "validate": ("validation",), "judge": HELD_OUT_KINDS}


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


def sample_tasks(
    classes: Classes,
    held_out: Sequence[int],
    draws: Sequence[TaskDraw],
    seed: int,
    validation_classes: Sequence[int] = (),
) -> list[Task]:
    """All tasks that `draws` ask for, ordered by kind; within a kind the draws take turns.

    No two tasks have the same classes. `new_class` tasks consist of held-out classes, `validation_new_class` tasks of
    validation classes, all others of known ones.
    Explicit tasks are set first, then those of whole groups, then `group` draws, then `random` ones, which have the
    most sets to choose from. Among the sizes of `classes_per_task` (and, for `group`, the groups) that have sets left,
    each is equally likely; sizes above what there is are left out.

    Raises InputError if a draw asks for more tasks than there are sets, an explicit task is not one, or there is no
    task to train on, to validate on, or to judge on.
    """
    sampler = _Sampler(classes, {"new_class": held_out, "validation_new_class": validation_classes}, seed)
    order = sorted(range(len(draws)), key=lambda position: DRAWN_FIRST.index(draws[position].strategy))
    made = {position: sampler.make(draws[position], position) for position in order}
    ordered = [
        task
        for kind in KINDS
        for turn in zip_longest(*([task for task in made[i] if task.kind == kind] for i in range(len(draws))))
        for task in turn
        if task is not None
    ]
    for purpose, kinds in PURPOSES.items():
        if not any(task.kind in kinds for task in ordered):
            raise InputError(
                f"split_tasks.tasks: there is no task to {purpose} on; ask for one of kind {' or '.join(kinds)}"
            )
    return ordered


def check_known(tasks: Sequence[Task], classes: Classes) -> None:
    """Refuse tasks of known classes to choose by or to judge on, of which no task to train on has the classes.

    Raises:
        InputError: names such classes.
    """
    trained_on = classes_in(task.classes for task in tasks if task.kind == "train")
    of_known = classes_in(task.classes for task in tasks if task.kind in ("validation", "new_combination"))
    if unknown := sorted(of_known - trained_on):
        names = ", ".join(repr(classes.names[class_id]) for class_id in unknown[:3])
        raise InputError(
            f"split_tasks.tasks: {len(unknown)} classes ({names}{', ...' * (len(unknown) > 3)}) are in tasks of kind "
            "validation or new_combination but in none of kind train, so that they would not be known; raise "
            "counts.train, or add a train task that has them"
        )


@dataclass
class _Sampler:
    """Makes the tasks of one draw after the other and remembers which sets are taken."""

    classes: Classes
    new: Mapping[Kind, Sequence[int]]
    seed: int
    taken: set[tuple[int, ...]] = field(default_factory=set)

    def make(self, draw: TaskDraw, position: int) -> list[Task]:
        place = f"split_tasks.tasks[{position}]"
        if isinstance(draw, ExplicitTask):
            return [self._explicit(draw, f"{place} ({draw.name!r})")]
        if draw.strategy != "random" and not any(self.classes.groups):
            raise InputError(
                f"{place}.strategy: {draw.strategy!r} needs groups of classes, and the data has none; use 'random'"
            )
        new = {class_id for pool in self.new.values() for class_id in pool}
        known = [class_id for class_id in range(len(self.classes.names)) if class_id not in new]
        if isinstance(draw, WholeGroups):
            return self._whole_groups(draw, known, place)
        pools = {(kind,): self._new_classes(draw, known, pool) for kind, pool in self.new.items()}
        tasks = []
        for kinds, pool in ({KNOWN_KINDS: known} | pools).items():
            strata = self._strata(draw, pool)
            self._require_enough(strata, draw, kinds, len(pool), place)
            for kind in kinds:
                generator = np.random.default_rng([self.seed, 2, position, KINDS.index(kind)])
                for _ in range(getattr(draw.counts, kind)):
                    left = [stratum for stratum in strata if stratum.free]
                    task = left[generator.integers(len(left))].draw(self.taken, generator)
                    self.taken.add(task)
                    tasks.append(Task(task, kind, draw.strategy, weight=draw.weight if kind == "train" else 1.0))
        return tasks

    def _new_classes(self, draw: SampledTasks, known: Sequence[int], pool: Sequence[int]) -> Sequence[int]:
        """Those of a pool of new classes that a draw takes."""
        if draw.new_classes == "all":
            return pool
        groups = self.classes.groups
        known_groups = {groups[class_id] for class_id in known}
        wanted = draw.new_classes == "of_known_groups"
        return [class_id for class_id in pool if (groups[class_id] in known_groups) == wanted]

    def _explicit(self, draw: ExplicitTask, place: str) -> Task:
        task = self.classes.find(draw.classes, f"{place}.classes")
        for class_id in task:
            held_out_for = next((kind for kind, pool in self.new.items() if class_id in pool), None)
            self._check_pool(draw.kind, held_out_for, f"{place}.classes: {self.classes.names[class_id]!r}")
        if task in self.taken:
            raise InputError(f"{place}.classes: an earlier task has the same classes; remove one of the two")
        self.taken.add(task)
        return Task(task, draw.kind, "explicit", draw.name, draw.weight)

    def _whole_groups(self, draw: WholeGroups, known: Sequence[int], place: str) -> list[Task]:
        """A task of every group's known classes, but for those that a task has already."""
        grouped = [class_id for class_id in known if self.classes.groups[class_id]]
        groups = self.classes.by_group(grouped).values()
        wholes = [members for members in groups if len(members) > 1 and members not in self.taken]
        if not wholes:
            raise InputError(
                f"{place}: there is no group with two known classes or more that has no task yet; remove this draw"
            )
        self.taken.update(wholes)
        return [Task(members, "train", "group", weight=draw.weight) for members in wholes]

    @staticmethod
    def _check_pool(kind: Kind, held_out_for: Kind | None, place: str) -> None:
        """Refuse a class in a task of a kind where it is held out for another, or for none."""
        if held_out_for is not None and held_out_for != kind:
            raise InputError(
                f"{place} is held out, so it cannot be in a {kind} task; leave it out of the task or of "
                f"{NEW_KINDS[held_out_for]}, or make the kind {held_out_for}"
            )
        if held_out_for is None and kind in NEW_KINDS:
            raise InputError(
                f"{place} is not held out, but a {kind} task has only held-out classes; add it to {NEW_KINDS[kind]}"
                ".names or change the kind"
            )

    def _strata(self, draw: SampledTasks, pool: Sequence[int]) -> list[_Stratum]:
        low, high = draw.classes_per_task
        return [
            _Stratum.of(members, size, self.taken)
            for members in (self.classes.by_group(pool).values() if draw.strategy == "group" else [tuple(pool)])
            for size in range(low, min(high, len(members)) + 1)
        ]

    def _require_enough(
        self, strata: list[_Stratum], draw: SampledTasks, kinds: Sequence[Kind], pool: int, place: str
    ) -> None:
        counts = {kind: getattr(draw.counts, kind) for kind in kinds}
        free = sum(stratum.free for stratum in strata)
        if sum(counts.values()) <= free:
            return
        used = sum(math.comb(len(stratum.members), stratum.size) for stratum in strata) - free
        besides = f" besides {used} that other draws took" if used else ""
        low, high = draw.classes_per_task
        known = kinds == KNOWN_KINDS
        of, fix = ("known", "hold out fewer classes") if known else ("held-out", f"name more {NEW_KINDS[kinds[0]]}")
        raise InputError(
            f"{place}.counts ({draw.strategy}, {low} to {high} classes of {pool} {of} ones): asks for "
            f"{' + '.join(f'{count} {kind}' for kind, count in counts.items())} tasks, but only {free} distinct ones "
            f"exist{besides}; lower the counts, widen classes_per_task, or {fix}"
        )
