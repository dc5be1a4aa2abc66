"""What a trained projector has multiplied once for all students that it will make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from projpipe.projection.factors import Factor
from projpipe.projection.project import LINEAR_MAPS, READING, WRITING, inner_products
from projpipe.transformer.canonical import Weights


@dataclass(frozen=True)
class Products:
    """Either of two kinds, as far as the task's part in the factors allows.

    Args:
        inner: by linear map, the source's weights between the chosen units and the whole residual stream: gates and
            low-rank terms stand between these and the students.
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


def multiply_ahead(source: Weights, factors: Mapping[str, Factor]) -> Products:
    """Multiply what no task changes of the factors and a source's merged weights."""
    inner = inner_products(source, static_units(factors))
    kept: Weights = {}
    mixtures: Weights = {}
    for name, product in inner.items():
        stream = factors[LINEAR_MAPS[name]]
        if not stream.is_mixture:
            kept[name] = product
            continue
        parts, each = stream.parts(), product[0][:, None]
        bias = factors[bias_factor(name)].parts() @ source[f"{name}.bias"][:, None, :, None]
        mixtures[f"{name}.weight"] = each @ parts.mT if name in READING else parts @ each
        mixtures[f"{name}.bias"] = bias.squeeze(-1)
    return Products(kept, mixtures)


def mix(mixtures: Weights, factors: Mapping[str, Factor], coefficients: Mapping[str, Tensor | None]) -> Weights:
    """Student weights from the products of templates and the tasks' coefficients `[T, *]` of every factor."""
    weights = {}
    for name, stream in LINEAR_MAPS.items():
        for key, mixed in (f"{name}.weight", stream), (f"{name}.bias", bias_factor(name)):
            if key in mixtures:
                weights[key] = factors[mixed].mix(coefficients[mixed], mixtures[key])
    return weights


def static_units(factors: Mapping[str, Factor]) -> dict[str, Tensor]:
    """The factors `[1, L_s, student, source]` of the linear maps whose units no task changes."""
    units = {name: factors[f"{name}_units"] for name in LINEAR_MAPS}
    return {name: factor(None) for name, factor in units.items() if not factor.num_coefficients}


def bias_factor(name: str) -> str:
    """The factor that a linear map's bias goes through: that of what it writes."""
    return WRITING.get(name, f"{name}_units")
