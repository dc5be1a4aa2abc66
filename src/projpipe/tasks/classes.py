"""The classes of a data set by name and group, and which of them are held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from projpipe.config import HeldOutClasses
from projpipe.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Classes:
    """Names and groups of the classes, both in the order of class ids; a group is "" where the data has none."""

    names: Sequence[str]
    groups: Sequence[str]

    def by_group(self, among: Sequence[int] | None = None) -> dict[str, tuple[int, ...]]:
        """Class ids (of `among`, or all) of each group, both in order."""
        members: dict[str, tuple[int, ...]] = {}
        for class_id in sorted(range(len(self.names)) if among is None else among):
            members[self.groups[class_id]] = (*members.get(self.groups[class_id], ()), class_id)
        return members

    def find(self, wanted: Sequence[str], place: str) -> tuple[int, ...]:
        """Sorted distinct ids of classes given by name; a group's name stands for all of its classes.

        Raises InputError with `place` and the nearest name if there is no such class or group.
        """
        known = {group: ids for group, ids in self.by_group().items() if group}
        known |= {name: (class_id,) for class_id, name in enumerate(self.names)}
        for name in wanted:
            if name not in known:
                hint = did_you_mean(name, known, otherwise=f"there are {', '.join(list(known)[:3])} and others")
                raise InputError(f"{place}: {name!r} is neither a class nor a group of the data; {hint}")
        return tuple(sorted({class_id for name in wanted for class_id in known[name]}))


def class_of_image(index: pd.DataFrame) -> Tensor:
    """Class ids `[N]` in the order of the packed images, whatever the order of the table `schemas.IMAGE_INDEX`."""
    return torch.tensor(index.sort_values("image_id")["class_id"].to_numpy(copy=True))


def class_names(index: pd.DataFrame) -> dict[int, str]:
    """The name of every class id in the table of `schemas.IMAGE_INDEX`."""
    return dict(zip(index["class_id"], index["class_name"], strict=True))


def hold_out(
    classes: Classes, asked: HeldOutClasses, seed: int, parameter: str = "held_out_classes", without: Sequence[int] = ()
) -> tuple[int, ...]:
    """Sorted ids of the classes that only tasks of new classes may contain.

    By name, or by count: then groups come in an order drawn with the seed. Those that fit into the count are held out
    whole, and what is left of it comes from one further group, so that held-out classes are coherent and `group` tasks
    can be made of them. Data without groups is one group.

    Args:
        parameter: of `split_tasks` that asks.
        without: classes that another parameter holds out.

    Raises InputError on an unknown name, one that is held out already, or if fewer than two classes would stay.
    """
    place = f"split_tasks.{parameter}"
    named = classes.find(asked.names, f"{place}.names")
    if twice := sorted(set(named).intersection(without)):
        raise InputError(
            f"{place}.names: {classes.names[twice[0]]!r} is held out to be judged on; name it in one place"
        )
    count = len(named) or asked.count
    if len(without) + count > len(classes.names) - 2:
        raise InputError(
            f"{place}: holding out {len(without) + count} of {len(classes.names)} classes leaves fewer than two to "
            "train on; hold out fewer"
        )
    left = [class_id for class_id in range(len(classes.names)) if class_id not in without]
    stream = {"held_out_classes": 1, "validation_classes": 3}[parameter]
    return named or _draw(list(classes.by_group(left).values()), count, np.random.default_rng([seed, stream]))


def _draw(groups: Sequence[tuple[int, ...]], count: int, generator: np.random.Generator) -> tuple[int, ...]:
    shuffled = [groups[i] for i in generator.permutation(len(groups))]
    chosen: set[int] = set()
    for group in shuffled:
        if len(group) <= count - len(chosen):
            chosen.update(group)
    partly = next(group for group in shuffled if not chosen.issuperset(group))
    chosen.update(generator.choice(partly, count - len(chosen), replace=False).tolist())
    return tuple(sorted(chosen))
