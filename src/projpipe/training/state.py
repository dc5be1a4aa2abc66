"""How far a training run is: what it takes to go on exactly as it would have gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from projpipe.training.history import HistoryRow


@dataclass(frozen=True)
class TrainingState:
    """What a checkpoint holds besides tensors.

    Args:
        position: of the seed that is trained, among those of the run.
        step: how many of its steps are done.
        best_score: of its best model so far; None of none.
        history: of all seeds.
    """

    position: int = 0
    step: int = 0
    best_score: float | None = None
    history: tuple[HistoryRow, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A state and its tensors: those of the trainer, and the finished models of earlier seeds."""

    state: TrainingState = field(default_factory=TrainingState)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
