"""From how many tasks on one projector costs less than distilling a model for each of them, counted in operations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

import numpy as np

from projpipe.experiments.outcome import Outcome


class BreakEven(TypedDict):
    """What distilling a model for each task takes, and what projecting them does, in operations.

    `reached`: whether distilling reaches the projector's score; where not, its whole budget is counted.
    `steps_per_task`, `flops_per_task`: what distilling one model takes. `projector_flops`: training the projector.
    `tasks`: from how many tasks on the projector costs less. `flops_to_make`: one more model from the projector,
    `times_less` than distilling one.
    """

    reached: bool
    steps_per_task: float
    flops_per_task: int
    projector_flops: int
    tasks: float
    flops_to_make: int
    times_less: float


def break_even(projected: Sequence[Outcome], distilled: Sequence[Outcome]) -> BreakEven:
    """Compare the projector with distilling one model per task until it is as accurate.

    Accuracy is that on validation images of the sampled tasks, for which both have models. What the teacher's own
    forward passes cost is left out on both sides, which favours distilling.

    Args:
        projected, distilled: the outcomes of all seeds; those of `distilled` are of models of as many tasks as they
            say, trained side by side.
    """
    target = float(np.mean([outcome.sampled_validation_score for outcome in projected]))
    curves = [[row.validation_score for row in outcome.history] for outcome in distilled]
    steps = [row.step for row in distilled[0].history]
    reached_at = first_reaching(steps, np.mean(curves, axis=0).tolist(), target)
    needed = steps[-1] if reached_at is None else reached_at
    per_task = needed * distilled[0].flops_per_step / distilled[0].tasks
    projector = projected[0].history[-1].step * projected[0].flops_per_step
    to_make = projected[0].flops_to_make
    return {
        "reached": reached_at is not None,
        "steps_per_task": round(needed, 1),
        "flops_per_task": round(per_task),
        "projector_flops": projector,
        "tasks": round(projector / max(per_task - to_make, 1.0), 1),
        "flops_to_make": to_make,
        "times_less": round(per_task / to_make, 1),
    }


def first_reaching(steps: Sequence[int], accuracies: Sequence[float], target: float) -> float | None:
    """The step at which a learning curve, straight between its points, first reaches the target; None if never."""
    if accuracies[0] >= target:
        return float(steps[0])
    for (start, low), (end, high) in pairwise(zip(steps, accuracies, strict=True)):
        if high >= target:
            return start + (end - start) * (target - low) / (high - low)
    return None
