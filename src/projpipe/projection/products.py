"""What a trained projector has multiplied once for all students that it will make."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.projection.factors import Conditioning, Factor
from projpipe.projection.project import LINEAR_MAPS, READING, WRITING
from projpipe.transformer.canonical import Weights


@dataclass(frozen=True)
class Products:
    """One of two kinds: `inner` where there are gates, else `mixtures`.

    Args:
        inner: by linear map, the source's weights between the chosen units and the whole residual stream: gates stand
            between these and the students.
        mixtures: by canonical weight, of every template of a factor that is a mixture, `[L_s, 1 + templates, ...]`:
            a student's weight is a sum of them, weighted by the task.
    """

    inner: Weights = field(default_factory=dict)
    mixtures: Weights = field(default_factory=dict)

    def each(self, change: Callable[[Tensor], Tensor]) -> Products:
        """The same, with every tensor changed."""
        return Products(
            {name: change(tensor) for name, tensor in self.inner.items()},
            {name: change(tensor) for name, tensor in self.mixtures.items()},
        )

    def to_tensors(self) -> Weights:
        """All tensors by name, for a file."""
        return {**self.inner, **self.mixtures}

    @classmethod
    def from_tensors(cls, tensors: Weights) -> Products:
        """Read back what `to_tensors` gave."""
        inner = {name: tensor for name, tensor in tensors.items() if name in LINEAR_MAPS}
        return cls(inner, {name: tensor for name, tensor in tensors.items() if name not in inner})


def inner_products(source: Weights, factors: Mapping[str, Tensor]) -> Weights:
    """The source's weights between the units of a student and its own residual stream, by linear map.

    Of the `factors` `[1, L_s, student, source]` only those of units are taken, which no task changes: this is
    multiplied once for all tasks.
    """
    units = {name: factors[f"{name}_units"] for name in LINEAR_MAPS}
    return {
        name: factor @ source[f"{name}.weight"] if name in READING else source[f"{name}.weight"] @ factor.mT
        for name, factor in units.items()
    }


def multiply_ahead(source: Weights, factors: Mapping[str, Factor]) -> Products:
    """Multiply what no task changes of the factors and a source's merged weights."""
    inner = inner_products(source, {name: factor.base[None] for name, factor in factors.items()})
    if not is_mixture(factors["attn_read"]):
        return Products(inner=inner)
    mixtures: Weights = {}
    for name, product in inner.items():
        parts, each = parts_of(factors[LINEAR_MAPS[name]]), product[0][:, None]
        bias = parts_of(factors[bias_factor(name)]) @ source[f"{name}.bias"][:, None, :, None]
        mixtures[f"{name}.weight"] = each @ parts.mT if name in READING else parts @ each
        mixtures[f"{name}.bias"] = bias.squeeze(-1)
    return Products(mixtures=mixtures)


def mix(mixtures: Weights, coefficients: Mapping[str, Tensor | None]) -> Weights:
    """Student weights from the products of templates and the tasks' coefficients `[T, *]` of every factor."""
    weights = {}
    for name, stream in LINEAR_MAPS.items():
        for key, mixed in (f"{name}.weight", stream), (f"{name}.bias", bias_factor(name)):
            weights[key] = weigh(mixtures[key], coefficients[mixed])
    return weights


def kept_factors(names: Collection[str], conditioning: Conditioning) -> set[str]:
    """Which factors make students where there are products: of mixtures, those of the tokens and of the head alone."""
    return set(names) if conditioning.gates else set(names) & {"embed_write", "head_read"}


def is_mixture(factor: Factor) -> bool:
    """Whether a factor is a sum of `parts_of`, weighted by the task: has no gates."""
    return not factor.terms[1]


def parts_of(factor: Factor) -> Tensor:
    """The base and the templates of a mixture, `[L_s, 1 + templates, student, source]`."""
    base = factor.base[:, None]
    if not factor.terms[0]:
        return base
    return torch.cat([base, factor.templates.unflatten(-1, factor.base.shape[1:])], dim=1)


def weigh(parts: Tensor, coefficients: Tensor | None) -> Tensor:
    """Something for each of `parts_of` a factor, `[L_s, 1 + templates, ...]`, weighed: `[T, L_s, ...]`."""
    if coefficients is None:
        return parts[None, :, 0]
    blocks, number = parts.shape[:2]
    weights = F.pad(coefficients.view(-1, blocks, number - 1), (1, 0), value=1.0)
    mixed = torch.bmm(weights.transpose(0, 1), parts.flatten(2))  # [L_s, T, ...]
    return mixed.transpose(0, 1).unflatten(-1, parts.shape[2:])


def bias_factor(name: str) -> str:
    """The factor that a linear map's bias goes through: that of what it writes."""
    return WRITING.get(name, f"{name}_units")
