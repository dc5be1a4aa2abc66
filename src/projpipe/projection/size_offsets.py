"""What students of a size add to the weights that they are cut out of.

    W(size) = cut(W + sum_j s_j(size) D_j)

One slice of the largest student's weights cannot be the best for every size. The offsets `D_j` are those of a smallest
and of a middle width, between which there are all sorts of mixtures, and of each depth but the largest. They are zero
at the start, and nothing is added to the largest student.
"""

from __future__ import annotations

import torch
from torch import nn

from projpipe.projection.parameter_groups import ParameterGroup, matrices_decay
from projpipe.transformer.canonical import Weights, canonical_name, module_key
from projpipe.transformer.elastic import cut
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec


class SizeOffsets(nn.Module):
    """The weights of students of all sizes, from those of the largest.

    Args:
        sizes: those that there are.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.offsets = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(shape)) for name, shape in size_offset_shapes(sizes).items()}
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of them, by how they learn: at the method's rate, whatever the method."""
        return matrices_decay(self.offsets.named_parameters())

    def forward(self, weights: Weights, size: TransformerSpec) -> Weights:
        """A size's canonical weights, from the largest size's with a leading axis `T`."""
        largest = self.sizes.largest
        if size == largest:
            return weights
        own, shares = dict(weights), torch.tensor(shares_of(size, self.sizes), device=weights["pos"].device)
        for key, offsets in self.offsets.items():
            name = canonical_name(key)
            added = (shares @ offsets.flatten(1)).view(offsets.shape[1:])
            if name == "head.weight" and not largest.symbols:
                added = weights[name] @ added
            elif name == "prefix":  # the universal model's has a task token more
                added = nn.functional.pad(added, (0, 0, 0, weights[name].shape[1] - len(added)))
            own[name] = own[name] + added
        return cut(own, largest, size)


def shares_of(size: TransformerSpec, sizes: Sizes) -> list[float]:
    """How much of each offset a size has."""
    low, high = sizes.smallest, sizes.largest
    width = (high.embed_dim - size.embed_dim) / max(1, high.embed_dim - low.embed_dim)  # 1 is the smallest
    of_width = [max(0.0, 2 * width - 1), 1 - abs(2 * width - 1)] if high.embed_dim > low.embed_dim else []
    return [*of_width, *(float(size.depth == depth) for depth in range(low.depth, high.depth))]


def size_offset_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Shapes of all offsets, by their names in a state dict."""
    largest, count = sizes.largest, len(shares_of(sizes.largest, sizes))
    shapes = {n: shape for n, shape in largest.weight_shapes(0).items() if n not in ("k.bias", "head.bias")}
    if not largest.symbols:
        shapes["head.weight"] = (largest.embed_dim, largest.embed_dim)  # a map of the rows, which are classes'
    return {module_key(name): (count, *shape) for name, shape in shapes.items() if count}
