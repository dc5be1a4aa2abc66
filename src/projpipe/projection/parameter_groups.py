"""Parameters that learn alike: which share of the learning rate is theirs, and whether their weights decay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class ParameterGroup:
    """Some parameters of a method.

    Args:
        parameters: which.
        rate: their learning rate, as a share of the method's.
        decays: whether weight decay draws them to zero: so do matrices whose init is small, and neither biases nor what
            has a good init.
    """

    parameters: tuple[nn.Parameter, ...]
    rate: float = 1.0
    decays: bool = False


def matrices_decay(named: Iterable[tuple[str, nn.Parameter]], rate: float = 1.0) -> list[ParameterGroup]:
    """Named parameters as two groups: what is called a weight decays, and all else does not."""
    named = list(named)
    return [
        ParameterGroup(tuple(p for name, p in named if name.endswith("weight") == decays), rate, decays)
        for decays in (True, False)
    ]


def nothing_decays(parameters: Iterable[nn.Parameter], rate: float = 1.0) -> list[ParameterGroup]:
    """Parameters as one group without weight decay."""
    return [ParameterGroup(tuple(parameters), rate)]
