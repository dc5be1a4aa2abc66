"""What a deployed model costs: parameters and multiply-accumulates."""

from typing import TypedDict

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from projpipe.objectives import Objective


class Cost(TypedDict):
    """Deployed parameters, and multiply-accumulates of one image."""

    params: int
    macs: int


def deployed_cost(model: nn.Module, objective: Objective) -> Cost:
    """Parameters of `model` and the multiply-accumulates of its forward pass on one image.

    Counts matrix products, convolutions and attention as torch's flop counter does (two operations each); additions,
    normalisations and activations are left out, as is usual.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        objective.logits(model, objective.blank(1))
    return Cost(params=sum(p.numel() for p in model.parameters()), macs=counter.get_total_flops() // 2)
