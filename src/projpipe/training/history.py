"""What a training run says of itself at every evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class HistoryRow:
    """One evaluation on the validation tasks.

    Args:
        seed: of the run.
        step: how many steps were done.
        loss: of the last of them; None before the first.
        validation_score: mean over the validation tasks.
        source_score: that of a source that is tuned, on validation images; None where it is frozen.
        kept: whether the model was the best so far.
    """

    seed: int
    step: int
    loss: float | None
    validation_score: float
    source_score: float | None
    kept: bool


def last_kept(history: Sequence[HistoryRow]) -> HistoryRow:
    """The evaluation of the model that is kept in the end."""
    return [row for row in history if row.kept][-1]
