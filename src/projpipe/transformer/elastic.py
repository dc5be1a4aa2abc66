"""Elastic sizes: smaller models, cut out of a larger one's weights.

The axes of a student's residual stream, its heads, the units within them and its hidden units come in the order of
importance, and a smaller student has the first of each. A shallower one has neighbouring blocks side by side in one,
and the first of their units in turn. So one set of weights holds a model of every size. Where all sizes are trained
together, each learns to do with what it has: slimmable networks (Yu and Huang, arXiv 1903.05134), which the sandwich of
sizes in a step is from, and MatFormer (Devvrit et al., arXiv 2310.07707).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec

_STREAM_FIRST = ("patch.weight", "patch.bias", "pre.weight", "pre.bias")  # their axis of the residual stream
_STREAM_LAST = ("prefix", "pos", "head.weight")


def block_groups(depth: int, student_depth: int) -> list[range]:
    """Split `depth` source blocks into `student_depth` runs of neighbours whose lengths differ by at most one."""
    bounds = [round(i * depth / student_depth) for i in range(student_depth + 1)]
    return [range(start, stop) for start, stop in pairwise(bounds)]


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
