"""Controls: the projector told another task than its own. If it did as well, it would not use the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from projpipe.methods.method import Style, Task


@dataclass(frozen=True)
class Control:
    """A way to tell the projector something else than its task: how it is called and drawn, and what it is told."""

    style: Style
    told: str


CONTROLS = {
    "shuffled": Control(Style("Projected, wrong-task control", "#56b4e9", "circle-open"), "another task's embedding"),
    "mean": Control(
        Style("Projected, mean-embedding control", "#009e73", "square-open"), "the mean embedding of the training tasks"
    ),
    "random": Control(Style("Projected, random-embedding control", "#d55e00", "diamond-open"), "a random embedding"),
}


def control_embeddings(
    control: str,
    embed: Callable[[Task], Tensor],
    tasks: Sequence[Task],
    sorts: Sequence[str],
    train_tasks: Sequence[Task],
    seed: int,
) -> list[Tensor]:
    """What to tell the projector instead of each task.

    Args:
        control: `shuffled`: the embedding of another of the tasks, of the same sort; `mean`: the mean embedding of the
            train tasks, the same for all; `random`: drawn from a normal distribution with their mean and deviation.
        embed: gives the embedding `[D]` of a task.
        tasks: different sets of classes, and in `sorts` what sort of task each is.

    Returns:
        One embedding `[D]` a task, none of them of the task itself.
    """
    if control == "shuffled":
        return [embed(task) for task in _others(tasks, sorts, train_tasks, seed)]
    known = torch.stack([embed(task) for task in train_tasks])
    if control == "mean":
        return [known.mean(0)] * len(tasks)
    noise = torch.randn(len(tasks), known.shape[1], generator=torch.Generator().manual_seed(seed))
    return list(known.mean(0) + known.std(0) * noise.to(known.device))


def _others(tasks: Sequence[Task], sorts: Sequence[str], train_tasks: Sequence[Task], seed: int) -> list[Task]:
    """For every task another one of its sort, all of them different; a train task where there is no other."""
    told = list(tasks)
    for sort in dict.fromkeys(sorts):
        positions = [position for position, of_sort in enumerate(sorts) if of_sort == sort]
        if len(positions) == 1:
            told[positions[0]] = next(task for task in train_tasks if set(task) != set(tasks[positions[0]]))
            continue
        for position, other in zip(positions, derangement(len(positions), seed), strict=True):
            told[position] = tasks[positions[other]]
    return told


def derangement(count: int, seed: int) -> list[int]:
    """A permutation of `0..count - 1` that leaves nothing in its place: one random cycle through all (Sattolo)."""
    cycle = np.random.default_rng(seed).permutation(count)
    following = np.empty(count, dtype=int)
    following[cycle] = np.roll(cycle, -1)
    return following.tolist()
