"""Elastic sizes: smaller models, cut out of a larger one's weights.

The axes of a student's residual stream, its heads, the units within them and its hidden units come in the order of
importance, and a smaller student has the first of each. A shallower one has neighbouring blocks side by side in one,
and the first of their units in turn. So one set of weights holds a model of every size. Where all sizes are trained
together, each learns to do with what it has: slimmable networks (Yu and Huang, arXiv 1903.05134), which the sandwich of
sizes in a step is from, and MatFormer (Devvrit et al., arXiv 2310.07707).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from projpipe.errors import InputError
from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec

WIDTH_STEP = 4  # from one width to the next
RATIO_STEP = 0.5  # from one share of hidden units to the next
SMALLEST = 0.25  # how often the smallest size is among those of a step
MOST = 0.5  # how often a size that is drawn has as many heads, and as many hidden units, as its width allows
_STREAM_FIRST = ("patch.weight", "patch.bias", "pre.weight", "pre.bias")  # their axis of the residual stream
_STREAM_LAST = ("prefix", "pos", "head.weight")


def block_groups(depth: int, student_depth: int) -> list[range]:
    """Split `depth` source blocks into `student_depth` runs of neighbours whose lengths differ by at most one."""
    bounds = [round(i * depth / student_depth) for i in range(student_depth + 1)]
    return [range(start, stop) for start, stop in pairwise(bounds)]


@dataclass(frozen=True)
class Sizes:
    """All sizes between two, ends included.

    Raises:
        InputError: the smallest is larger than the largest in some respect.
    """

    smallest: TransformerSpec
    largest: TransformerSpec
    place: str = "smallest"  # of its parameters, for errors

    def __post_init__(self) -> None:
        if problem := _beyond(self.smallest, self.largest):
            raise InputError(f"{self.place}: {problem}; make it smaller")

    def check(self, size: TransformerSpec, place: str) -> None:
        """Refuse a size that is not between the two.

        Raises:
            InputError: names the limit that it is beyond.
        """
        if problem := _beyond(size, self.largest) or _below(size, self.smallest):
            raise InputError(f"{place}: {problem}; there are sizes from {self}")

    def __contains__(self, size: TransformerSpec) -> bool:
        return not (_beyond(size, self.largest) or _below(size, self.smallest))

    def __str__(self) -> str:
        return f"{self.smallest.describe_size()} to {self.largest.describe_size()}"

    @cached_property
    def every(self) -> tuple[TransformerSpec, ...]:
        """Sizes on a grid, the smallest and the largest among them, by their parameters."""
        low, high = self.smallest, self.largest
        ends = (low.embed_dim, high.embed_dim)
        widths = {*ends, *range(-(-ends[0] // WIDTH_STEP) * WIDTH_STEP, ends[1] + 1, WIDTH_STEP)}
        ratios = {low.mlp_ratio, *np.arange(low.mlp_ratio, high.mlp_ratio, RATIO_STEP).tolist(), high.mlp_ratio}
        depths, heads = range(low.depth, high.depth + 1), range(low.num_heads, high.num_heads + 1)
        found = {
            high.resized(width, depth, count, int(width * ratio))
            for width, depth, count, ratio in product(widths, depths, heads, ratios)
            if width % count == 0
        }
        return tuple(sorted({low, high, *(size for size in found if size in self)}, key=_by_size))

    def sandwich(self, seed: Sequence[int]) -> tuple[TransformerSpec, ...]:
        """The sizes of a training step: the largest, and two that a seed decides, the first at times the smallest."""
        rng = np.random.default_rng(seed)
        first = self.smallest if rng.random() < SMALLEST else self._draw(rng)
        return self.largest, first, self._draw(rng)

    def _draw(self, rng: np.random.Generator) -> TransformerSpec:
        """A size of an even width and depth, in half of the cases with as many heads, and hidden units, as can be.

        It is not the largest, where there is another: what belongs to sizes learns in every step.
        """
        every = self.every[:-1] or self.every
        for name in ("embed_dim", "depth", "num_heads", "mlp_dim"):
            values = sorted({getattr(size, name) for size in every})
            most = name in ("num_heads", "mlp_dim") and rng.random() < MOST
            value = values[-1] if most else values[rng.integers(len(values))]
            every = tuple(size for size in every if getattr(size, name) == value)
        return every[0]


def _by_size(spec: TransformerSpec) -> tuple[int, ...]:
    return spec.deployed_params(2), spec.depth, spec.embed_dim, spec.num_heads, spec.mlp_dim


def _beyond(size: TransformerSpec, largest: TransformerSpec) -> str:
    """In what a size is beyond the largest; empty where it is not."""
    for name in ("embed_dim", "depth", "num_heads", "head_dim", "mlp_dim"):
        if (asked := getattr(size, name)) > (limit := getattr(largest, name)):
            return f"{name} {asked} is above the {limit} of the largest"
    return ""


def _below(size: TransformerSpec, smallest: TransformerSpec) -> str:
    """In what a size is below the smallest; empty where it is not."""
    for name in ("embed_dim", "depth", "num_heads", "mlp_dim"):
        if (asked := getattr(size, name)) < (limit := getattr(smallest, name)):
            return f"{name} {asked} is below the {limit} of the smallest"
    return ""


def cut(weights: Weights, largest: TransformerSpec, size: TransformerSpec) -> Weights:
    """A smaller model out of a larger one's canonical weights with a leading axis `T`.

    Its normalisations read fewer axes, and so their output is larger for the same tokens: as in the init of the
    projection, maps that read them are made larger in return. Taking the first axes alone is exact where the larger
    model's basis is Helmert's: what the others add to them is the same for all, and the normalisation centres it. The
    size itself gives the weights as they are.
    """
    if size == largest:
        return weights
    width, reading = size.embed_dim, (largest.embed_dim / size.embed_dim) ** 0.5
    # Fewer dimensions a head make smaller dot products, and a smaller divisor under them.
    sharpness = (size.head_dim / largest.head_dim) ** 0.25
    small = {name: weights[name][:, :width] for name in _STREAM_FIRST if name in weights}
    small |= {name: weights[name][..., :width] for name in _STREAM_LAST}
    small["head.weight"] = small["head.weight"] * reading
    small["head.bias"] = weights["head.bias"]
    if "pre.weight" in small:
        small["pre.weight"] = small["pre.weight"] * reading
    groups = block_groups(largest.depth, size.depth)
    for name, scale in (("q", sharpness), ("k", sharpness), ("v", 1.0), ("fc1", 1.0)):
        weight, bias = weights[f"{name}.weight"][..., :width], weights[f"{name}.bias"]
        small[f"{name}.weight"] = _first_units(weight, -2, name, groups, largest, size) * (reading * scale)
        small[f"{name}.bias"] = _first_units(bias, -1, name, groups, largest, size) * scale
    for name in ("out", "fc2"):
        weight, bias = weights[f"{name}.weight"][:, :, :width], weights[f"{name}.bias"][..., :width]
        small[f"{name}.weight"] = _first_units(weight, -1, name, groups, largest, size)
        small[f"{name}.bias"] = torch.stack([bias[:, group].sum(1) for group in map(list, groups)], dim=1)
    return small


def _first_units(
    tensor: Tensor, dim: int, name: str, groups: list[range], largest: TransformerSpec, size: TransformerSpec
) -> Tensor:
    """Of every group of blocks of `[T, L, ...]` the first units along `dim`, those of its blocks in turn."""
    if name.startswith("fc"):
        of_head, kept, heads = 1, 1, size.mlp_dim
    else:
        of_head, kept, heads = largest.head_dim, size.head_dim, size.num_heads
    units = tensor.movedim(dim, 2).unflatten(2, (-1, of_head))[:, :, :heads, :kept]  # [T, L, heads, kept, ...]
    merged = [units[:, group.start : group.stop].transpose(1, 2).flatten(1, 3)[:, : heads * kept] for group in groups]
    return torch.stack(merged, dim=1).movedim(2, dim)
