"""What came of one trial of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projpipe.training.history import HistoryRow


@dataclass(frozen=True)
class Outcome:
    """One method trained with one seed, judged.

    Args:
        history: of its training.
        tasks: on how many tasks it was trained.
        scores: {row: score of every judged task}. The row of the method itself is `method`; there may be one of its
            models before they were trained, and of the controls.
        sampled_validation_score: mean over the sampled tasks, on validation images.
        flops_per_step: operations of a training step.
        flops_to_make: those of making the weights for one task.
    """

    history: list[HistoryRow]
    tasks: int
    scores: dict[str, list[float]]
    sampled_validation_score: float
    flops_per_step: int
    flops_to_make: int

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "history": [row.to_json() for row in self.history]}

    @classmethod
    def from_json(cls, outcome: Mapping[str, Any]) -> Outcome:
        return cls(**{**outcome, "history": [HistoryRow.from_json(row) for row in outcome["history"]]})


@dataclass(frozen=True)
class Outcomes:
    """Those of all trials of a comparison, in order."""

    each: list[Outcome]

    def to_json(self) -> list[dict[str, Any]]:
        return [outcome.to_json() for outcome in self.each]

    @classmethod
    def from_json(cls, outcomes: Sequence[Mapping[str, Any]]) -> Outcomes:
        return cls([Outcome.from_json(outcome) for outcome in outcomes])
