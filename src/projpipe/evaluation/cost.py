"""What a deployed model costs: parameters and multiply-accumulates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from projpipe.objectives import Objective
from projpipe.record import from_json


class Size(TypedDict):
    """Parameters of a model, and multiply-accumulates of one image."""

    params: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """Deployed parameters, and multiply-accumulates of one image."""

    params: int
    macs: int

    def to_json(self) -> Size:
        """Both by their names."""
        return {"params": self.params, "macs": self.macs}


class Costs(dict[str, Cost]):
    """What the teacher and the model of every method cost, by name."""

    def to_json(self) -> dict[str, Size]:
        """The content of `costs.json`."""
        return {name: cost.to_json() for name, cost in self.items()}

    @classmethod
    def from_json(cls, described: object) -> Costs:
        """Read back what `to_json` gave; an InputError names the key that is not as it should be."""
        return cls(from_json(dict[str, Cost], described))


def deployed_cost(model: nn.Module, objective: Objective) -> Cost:
    """Parameters of `model` and the multiply-accumulates of its forward pass on one image.

    Counts matrix products, convolutions and attention as torch's flop counter does (two operations each); additions,
    normalisations and activations are left out, as is usual.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        objective.logits(model, objective.blank(1))
    return Cost(params=sum(p.numel() for p in model.parameters()), macs=counter.get_total_flops() // 2)
