"""Factors: the matrices of the projection, and how a task changes them.

    F(t) = (F + sum_k c_k(t) F_k) diag(1 + g(t))

`F_k` are templates, `g` gates the axes of the source's residual stream. The coefficients `c` and `g` are linear in the
task embedding and zero at the start, where the projection is therefore the static one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from projpipe.record import Bounds


@dataclass(frozen=True)
class Conditioning:
    """Which terms depend on the task; all of them off make the projection static.

    `experts` are added to the student's weights, see `projection.experts`, and `film` is folded into them, see
    `projection.film`; templates and gates change the factors on the residual stream. The choice of heads and hidden
    units is the same for all tasks.
    """

    templates: Annotated[int, Bounds(0, 2**10)]
    gates: bool
    task_embed_dim: Annotated[int, Bounds(1, 2**16)]
    experts: Annotated[int, Bounds(0, 2**10)] = 0
    film: bool = False

    @classmethod
    def none(cls) -> Conditioning:
        """That of the static projection."""
        return cls(templates=0, gates=False, task_embed_dim=1)

    @property
    def is_static(self) -> bool:
        return not (self.experts or self.film or self.changes_factors)

    @property
    def changes_factors(self) -> bool:
        """Whether a factor is a function of the task."""
        return bool(self.templates or self.gates)

    def of(self, factor: str) -> Conditioning:
        """The terms of one factor, by its name."""
        return Conditioning.none() if factor.endswith("units") else self


class Factor(nn.Module):
    """One factor of every student block, `[L_s, student, source]`, as a function of the task's coefficients.

    Args:
        init: the initial static factor, `[L_s, student, source]`.
        conditioning: the terms that depend on the task.
        generator: seeds the templates.
    """

    def __init__(self, init: Tensor, conditioning: Conditioning, generator: torch.Generator) -> None:
        super().__init__()
        self.base = nn.Parameter(init.clone())
        blocks, student, source = init.shape
        self.terms = (conditioning.templates, source if conditioning.gates else 0)
        if conditioning.templates:
            drawn = torch.randn(blocks, conditioning.templates, student * source, generator=generator)
            self.templates = nn.Parameter(drawn * init.square().mean().sqrt().item())

    @property
    def num_coefficients(self) -> int:
        """Coefficients for all blocks together."""
        return self.base.shape[0] * sum(self.terms)

    def forward(self, coefficients: Tensor | None) -> Tensor:
        """Build the factor for `T` tasks.

        Args:
            coefficients: `[T, num_coefficients]`, or None for the static factor.

        Returns:
            `[T, L_s, student, source]`; `T` is 1 for the static factor.
        """
        factor = self.base[None]
        if coefficients is None:
            return factor
        blocks, student, source = self.base.shape
        mixture, gates = coefficients.view(-1, blocks, sum(self.terms)).split(self.terms, dim=-1)
        if self.terms[0]:
            mixed = torch.bmm(mixture.transpose(0, 1), self.templates)  # [L_s, T, student*source]
            factor = factor + mixed.transpose(0, 1).view(-1, blocks, student, source)
        if self.terms[1]:
            factor = factor * (1 + gates[:, :, None])
        return factor
