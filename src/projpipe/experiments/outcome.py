"""What came of one trial of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from projpipe.record import from_json, to_json
from projpipe.training.history import HistoryRow

ImageScores = Sequence[Sequence[float]]  # of one model on the test images of each class of a task


def task_mean(scores: ImageScores) -> float:
    """The score on a task: the mean over its images."""
    return fmean(chain.from_iterable(scores))


@dataclass(frozen=True)
class Outcome:
    """One method trained with one seed, judged.

    Args:
        history: of its training.
        tasks: on how many tasks it was trained.
        scores: {row: scores on the test images of every judged task}. The row of the method itself is `method`; there
            may be one of its models before they were trained, and of the controls.
        sampled_validation_score: mean over the sampled tasks, on validation images.
        flops_per_step: operations of a training step.
        flops_to_make: those of making the weights for one task.
    """

    history: Sequence[HistoryRow]
    tasks: int
    scores: Mapping[str, Sequence[ImageScores]]
    sampled_validation_score: float
    flops_per_step: int
    flops_to_make: int


@dataclass(frozen=True)
class Outcomes:
    """Those of all trials of a comparison, in order."""

    each: Sequence[Outcome]

    def to_json(self) -> list[object]:
        """The content of `outcomes.json`."""
        return [to_json(outcome) for outcome in self.each]

    @classmethod
    def from_json(cls, outcomes: object) -> Outcomes:
        """Read back what `to_json` gave; an InputError names the key that is not as it should be."""
        return cls(from_json(tuple[Outcome, ...], outcomes))
