"""The trainer of the teacher and of every method: optimiser, schedule, clipping, averaging, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim.lr_scheduler import LambdaLR

from projpipe.tensors import prefixed, starting_with

FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
MODEL, OPTIMIZER, AVERAGE = "model.", "optimizer.", "average."  # what tensors of a checkpoint start with


@dataclass(frozen=True)
class Schedule:
    """How long a model learns, and how its learning rates rise and fall.

    Args:
        steps: in all.
        warmup_fraction: share of them in which the rates rise.
        gradient_clip: the largest norm of the gradient.
        ema_decay: of the moving average of the weights, which has a short memory at first; None for no average.
        fused: torch's fused AdamW, which rounds otherwise than the plain one.
    """

    steps: int
    warmup_fraction: float
    gradient_clip: float
    ema_decay: float | None = None
    fused: bool = True


class Trainer:
    """A model with its optimiser, its schedule and the moving average of its weights.

    What a checkpoint needs is in `state_tensors` and the step: no state of a random generator has to be kept where
    what is learned from is a function of the step.

    Args:
        model: trained in place, without a wrapper for data-parallel training.
        groups: torch's parameter groups: `params`, `lr` at the peak of the schedule, `weight_decay`.
    """

    def __init__(self, model: nn.Module, groups: Sequence[Mapping[str, Any]], schedule: Schedule) -> None:
        self.model, self.settings = model, schedule
        self.optimizer = torch.optim.AdamW([dict(group) for group in groups], fused=schedule.fused)
        self.rates = LambdaLR(self.optimizer, self._share_of_peak)
        self.step = 0
        self.average: nn.Module | None = None
        if schedule.ema_decay is not None:
            # Torch's AveragedModel would copy the frozen source every step: what no checkpoint holds is shared here.
            kept = model.state_dict()
            shared = {id(buffer): buffer for name, buffer in model.named_buffers() if name not in kept}
            self.average = deepcopy(model, shared).requires_grad_(False)

    def update(self) -> None:
        """One step, by the gradients that the model's parameters hold; they are dropped."""
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.rates.step()
        self.step += 1
        if self.average is not None and self.settings.ema_decay is not None:
            self._move(self.average, self.settings.ema_decay)

    @torch.no_grad()
    def _move(self, average: nn.Module, decay: float) -> None:
        """Move the average towards the weights; after few steps it forgets soon, so that the init does not linger."""
        weight = 1 - min(decay, self.step / (self.step + 10))
        torch._foreach_lerp_(list(average.parameters()), list(self.model.parameters()), weight)

    def state_tensors(self) -> dict[str, Tensor]:
        """All tensors that a checkpoint needs; the step goes beside them."""
        tensors = self.model_tensors() | prefixed(OPTIMIZER, self._moments())
        return tensors if self.average is None else tensors | prefixed(AVERAGE, self.average.state_dict())

    def model_tensors(self) -> dict[str, Tensor]:
        """Those of them that are the model's: all that is needed of one that is finished."""
        return prefixed(MODEL, self.model.state_dict())

    def load_model(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the model alone out of the tensors of a checkpoint."""
        self.model.load_state_dict(starting_with(MODEL, tensors))

    def load_state_tensors(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on after `step` steps, at least one; the tensors are copied."""
        self.load_model(tensors)
        optimizer: dict[str, Any] = get_optimizer_state_dict(self.model, self.optimizer, options=FLAT)
        moments = {name: tensor.clone() for name, tensor in starting_with(OPTIMIZER, tensors).items()}
        set_optimizer_state_dict(self.model, self.optimizer, optimizer | moments, options=FLAT)
        self.step = step
        self.rates = LambdaLR(self.optimizer, self._share_of_peak, last_epoch=step - 1)
        if self.average is not None:
            self.average.load_state_dict(starting_with(AVERAGE, tensors))

    def _moments(self) -> dict[str, Tensor]:
        """The tensors of the optimiser, by the names of their parameters."""
        optimizer: dict[str, Any] = get_optimizer_state_dict(self.model, self.optimizer, options=FLAT)
        return {name: value for name, value in optimizer.items() if torch.is_tensor(value)}

    def _share_of_peak(self, step: int) -> float:
        return one_cycle(step, self.settings.steps, self.settings.warmup_fraction)


def one_cycle(step: int, steps: int, warmup_fraction: float) -> float:
    """Share of the peak learning rate: linear warm-up, then a half cosine down to zero."""
    warmup = max(1, round(steps * warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
