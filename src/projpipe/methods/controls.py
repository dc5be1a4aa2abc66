"""Controls: the projector told another task than its own. If it did as well, it would not use the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from projpipe.methods.method import ClassIds, Style


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
    embed: Callable[[ClassIds], Tensor],
    tasks: Sequence[ClassIds],
    sorts: Sequence[str],
    train_tasks: Sequence[ClassIds],
    seed: int,
    train_weights: Sequence[float] = (),
) -> list[Tensor]:
    """What to tell the projector instead of each task.

    Args:
        control: `shuffled`: the embedding of another of the tasks, of the same sort and as far as there is one of the
            same size and without a common class; `mean`: the mean embedding of the train tasks, the same for all;
            `random`: drawn from a normal distribution with their mean and deviation.
        embed: gives the embedding `[D]` of a task.
        tasks: different sets of classes, and in `sorts` what sort of task each is.
        train_weights: how often each train task is drawn, against the others; all equally often if empty.

    Returns:
        One embedding `[D]` a task, none of them of the task itself.
    """
    if control == "shuffled":
        return [embed(task) for task in _others(tasks, sorts, train_tasks, seed)]
    known = torch.stack([embed(task) for task in train_tasks])
    shares = torch.tensor(train_weights or [1.0] * len(known), device=known.device)[:, None]
    shares = shares / shares.sum()
    mean = (shares * known).sum(0)
    if control == "mean":
        return [mean] * len(tasks)
    deviation = ((shares * (known - mean).square()).sum(0) / (1 - shares.square().sum()).clamp(min=1e-12)).sqrt()
    noise = torch.randn(len(tasks), known.shape[1], generator=torch.Generator().manual_seed(seed))
    return list(mean + deviation * noise.to(known.device))


def _others(
    tasks: Sequence[ClassIds], sorts: Sequence[str], train_tasks: Sequence[ClassIds], seed: int
) -> list[ClassIds]:
    """For every task another one of its sort: of its size, and without a class of its, as far as there is one.

    Where it is the only one of its sort, a train task.
    """
    rng = np.random.default_rng(seed)

    def other(position: int) -> ClassIds:
        own = set(tasks[position])
        alike = [task for task, sort in zip(tasks, sorts, strict=True) if sort == sorts[position] and set(task) != own]
        found = alike or [task for task in train_tasks if set(task) != own]
        unfairness = np.array([_unfairness(own, task) for task in found])
        return found[rng.choice(np.flatnonzero(unfairness == unfairness.min()))]

    return [other(position) for position in range(len(tasks))]


def _unfairness(own: set[int], other: ClassIds) -> float:
    """How far another task is from being a fair one to be told: 0 if it has as many classes, and none of the same."""
    shared = len(own.intersection(other)) / min(len(own), len(other))
    return shared + abs(math.log(len(other) / len(own)))
