"""Controls: the projector told another task than its own. If it did as well, it would not use the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

CONTROLS = ("shuffled", "mean", "random")
Task = Sequence[int]


def control_embeddings(
    control: str,
    embed: Callable[[Task], Tensor],
    tasks: Sequence[Task],
    train_tasks: Sequence[Task],
    seed: int,
) -> list[Tensor]:
    """What to tell the projector in place of each task.

    Args:
        control: `shuffled`: the embedding of another of the tasks; `mean`: the mean embedding of the train tasks, the
            same for all; `random`: drawn from a normal distribution with the train tasks' mean and deviation.
        embed: gives the embedding `[D]` of a task.
        tasks: different sets of classes, of one kind.

    Returns:
        One embedding `[D]` a task, none of them of the task itself.
    """
    if control == "shuffled":
        if len(tasks) == 1:  # there is no other of its kind
            return [embed(next(task for task in train_tasks if set(task) != set(tasks[0])))]
        return [embed(tasks[other]) for other in derangement(len(tasks), seed)]
    known = torch.stack([embed(task) for task in train_tasks])
    if control == "mean":
        return [known.mean(0)] * len(tasks)
    noise = torch.randn(len(tasks), known.shape[1], generator=torch.Generator().manual_seed(seed))
    return list(known.mean(0) + known.std(0) * noise.to(known.device))


def derangement(count: int, seed: int) -> list[int]:
    """A permutation of `0..count - 1` that leaves nothing in its place: one random cycle through all (Sattolo)."""
    cycle = np.random.default_rng(seed).permutation(count)
    following = np.empty(count, dtype=int)
    following[cycle] = np.roll(cycle, -1)
    return following.tolist()
