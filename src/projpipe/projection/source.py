"""The source model as the projection reads it: blocks merged in groups, one group for each student block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from projpipe.transformer.canonical import Weights
from projpipe.transformer.class_weights import class_weights
from projpipe.transformer.spec import TransformerSpec

_WHOLE = ("patch.weight", "patch.bias", "prefix", "pos", "head.weight", "head.bias", "condition.weight")
_SIDE_BY_SIDE = ("q.weight", "k.weight", "v.weight", "q.bias", "k.bias", "v.bias", "fc1.weight", "fc1.bias")
_WRITING = ("out.weight", "fc2.weight")
_SUMMED = ("out.bias", "fc2.bias")


@dataclass(frozen=True)
class Source:
    """A large Transformer: its shape, its canonical weights and the statistics of its activations."""

    spec: TransformerSpec
    weights: Weights
    statistics: dict[str, Tensor]

    def __deepcopy__(self, memo: dict[int, object]) -> Source:
        """Itself: it is frozen, and as large as the large model."""
        return self

    @property
    def class_table(self) -> Tensor:
        """What its weights say of each class: classifier rows or class embeddings `[K, d]`."""
        return self.weights[class_weights(self.spec).table]

    @property
    def num_classes(self) -> int:
        return len(self.class_table)


def side_by_side(tensor: Tensor, groups: list[range], dim: int) -> Tensor:
    """Lay the units of each group's blocks side by side along `dim`; shorter groups are filled with zeros.

    Args:
        tensor: `[L, ...]`, one entry a source block; `dim` counts without the first axis.

    Returns:
        `[len(groups), ...]` with `dim` longer by the length of the longest group.
    """
    longest = max(len(group) for group in groups)
    merged = []
    for group in groups:
        blocks = [tensor[layer] for layer in group]
        blocks += [torch.zeros_like(tensor[0])] * (longest - len(group))
        merged.append(torch.cat(blocks, dim=dim))
    return torch.stack(merged)


def merge_blocks(weights: Weights, groups: list[range]) -> Weights:
    """Canonical block weights `[L, ...]` as those of one wide block a group, `[len(groups), ...]`.

    Blocks of a group read the same residual stream and add up what they write. With one block a group nothing
    changes.
    """
    return {
        **{name: side_by_side(weights[name], groups, dim=0) for name in _SIDE_BY_SIDE},
        **{name: side_by_side(weights[name], groups, dim=1) for name in _WRITING},
        **{name: torch.stack([weights[name][list(group)].sum(0) for group in groups]) for name in _SUMMED},
    }


def merged_weights(weights: Weights, groups: list[range]) -> Weights:
    """All weights of a source as `project` reads them: the blocks of each group merged, all else as it is.

    Where the source normalises its tokens before the first block, what makes the tokens is centred, and scaled by that
    normalisation's gain.
    """
    whole = {name: weights[name] for name in _WHOLE if name in weights}
    if "pre.weight" in weights:
        whole |= {name: weights[name] for name in ("pre.weight", "pre.bias")} | _before_the_norm(weights)
    return {**whole, **merge_blocks(weights, groups)}


def _before_the_norm(weights: Weights) -> Weights:
    """What makes the tokens, as the normalisation before the blocks centres it and scales its coordinates."""
    gain = weights["pre.weight"]

    def centred(tokens: Tensor) -> Tensor:
        return (tokens - tokens.mean(-1, keepdim=True)) * gain

    return {
        "patch.weight": centred(weights["patch.weight"].mT).mT,
        **{name: centred(weights[name]) for name in ("patch.bias", "prefix", "pos")},
    }
