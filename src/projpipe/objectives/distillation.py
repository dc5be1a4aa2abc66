"""Distillation: a student's distribution is drawn to its teacher's."""

from __future__ import annotations

import torch
from torch import Tensor


def distilled(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of a student from its teacher (Hinton et al., 2015, arXiv 1503.02531), averaged.

    Args:
        logits: the student's `[..., K]`.
        teacher: the teacher's `[..., K]`; what is minus infinity there takes no part.
        temperature: softens both distributions; its square keeps the size of the gradient.
    """
    expected = (teacher / temperature).softmax(-1)
    said = (logits / temperature).log_softmax(-1).masked_fill(expected == 0, 0.0)
    return (torch.special.xlogy(expected, expected) - expected * said).sum(-1).mean() * temperature**2
