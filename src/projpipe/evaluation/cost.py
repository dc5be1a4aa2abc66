"""What a deployed model costs: parameters and multiply-accumulates."""

from collections.abc import Mapping
from typing import Any, TypedDict

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Cost(TypedDict):
    """Deployed parameters, and multiply-accumulates of one image."""

    params: int
    macs: int


def deployed_cost(model: nn.Module, image_shape: tuple[int, int, int]) -> Cost:
    """Parameters of `model` and the multiply-accumulates of its forward pass on one image of `image_shape` [C, H, W].

    Counts matrix products, convolutions and attention as torch's flop counter does (two operations each); additions,
    normalisations and activations are left out, as is usual.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *image_shape))
    return Cost(params=sum(p.numel() for p in model.parameters()), macs=counter.get_total_flops() // 2)


def image_shape(dataset_card: Mapping[str, Any]) -> tuple[int, int, int]:
    """Shape `[C, H, W]` of one image of a data set."""
    height, width = dataset_card["image_size"]
    return dataset_card["channels"], height, width
