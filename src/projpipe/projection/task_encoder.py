"""Task embedding: a set of classes as one vector, whatever their order and number.

The set encoder is a Deep Set (Zaheer et al., 2017, arXiv 1703.06114): every class goes through one small network,
the results are averaged and go through another. Classes are described by the source's own classifier rows or class
embeddings, so that a class that no training task contained has an embedding too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 64


def class_features(table: Tensor) -> Tensor:
    """Rows `[K, d]` of classes, centred over classes and scaled to unit variance along each row."""
    centred = table - table.mean(0)
    return F.normalize(centred, dim=-1) * table.shape[1] ** 0.5


class TaskEncoder(nn.Module):
    """Embed sets of classes.

    Args:
        table: what the source's weights say of each class, `[K, d]`.
        embed_dim: width of the task embedding.
    """

    features: Tensor

    def __init__(self, table: Tensor, embed_dim: int) -> None:
        super().__init__()
        self.register_buffer("features", class_features(table))  # kept: the source may be tuned
        self.each = nn.Sequential(nn.Linear(table.shape[1], HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN))
        self.whole = nn.Sequential(nn.GELU(), nn.Linear(HIDDEN, embed_dim), nn.LayerNorm(embed_dim))

    def forward(self, classes: Tensor, mask: Tensor) -> Tensor:
        """Class ids `[T, K]` with a mask `[T, K]` of those that count, to task embeddings `[T, embed_dim]`."""
        each = self.each(self.features[classes]) * mask[..., None]
        return self.whole(each.sum(1) / mask.sum(1, keepdim=True))


class ClassMap(nn.Module):
    """A learned linear map of the class features, zero at first.

    Args:
        table: what the source's weights say of each class, `[K, d]`.
        width: of what the features are mapped to.
    """

    features: Tensor

    def __init__(self, table: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("features", class_features(table))
        self.weight = nn.Parameter(torch.zeros(width, table.shape[1]))

    def forward(self, classes: Tensor) -> Tensor:
        """Class ids `[T, K]` to rows `[T, K, width]`."""
        return F.linear(self.features[classes], self.weight) / len(self.weight) ** 0.5


def reset_linears(module: nn.Module, generator: torch.Generator) -> None:
    """Initialise every linear layer anew from the given random generator, so that a seed fixes a model."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
