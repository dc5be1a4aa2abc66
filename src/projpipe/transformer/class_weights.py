"""Where in a Transformer's weights its classes are.

A classifier has a row for each of them. A decoder has an embedding for each, added to every token; a model of several
classes has the mean of theirs instead, and is not told anything more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec

MASKED = -1e9  # the logit of a class that only fills up a row


def pad_tasks(tasks: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Class ids of tasks of different sizes as one array `[T, K]`, and its mask `[T, K]`, both on a device."""
    sizes = torch.tensor([len(task) for task in tasks])
    mask = torch.arange(int(sizes.max())) < sizes[:, None]
    classes = torch.zeros(mask.shape, dtype=torch.long)
    classes[mask] = torch.tensor([class_id for task in tasks for class_id in task])
    return classes.to(device), mask.to(device)


class ClassifierRows:
    """Classes are rows of the classifier; a student has those of its task, in order."""

    table = "head.weight"  # of the source's canonical weights: a row a class

    @staticmethod
    def own_shapes(num_classes: int, width: int) -> dict[str, tuple[int, ...]]:
        """What a model may learn for each class alone, by canonical name."""
        return {"head.weight": (num_classes, width), "head.bias": (num_classes,)}

    @staticmethod
    def insert(weights: Weights, rows: Tensor, own: Weights, bias: Tensor, mask: Tensor) -> None:
        """Put what belongs to the classes of `T` tasks into their canonical weights.

        Args:
            rows: of the tasks' classes `[T, K, d]`.
            own: of the tasks' classes, of `own_shapes`: `[T, K, ...]`.
            bias: `[T, K]`.
            mask: `[T, K]`, False where a class only fills up a row.
        """
        weights["head.weight"] = rows + own.get("head.weight", 0.0)
        weights["head.bias"] = (bias + own.get("head.bias", 0.0)).masked_fill(~mask, MASKED)


class ClassEmbeddings:
    """Classes are embeddings, and a student has the mean of its task's in the bias of every token."""

    table = "condition.weight"

    @staticmethod
    def own_shapes(num_classes: int, width: int) -> dict[str, tuple[int, ...]]:
        """What a model may learn for each class alone, by canonical name."""
        return {"condition.weight": (num_classes, width)}

    @staticmethod
    def insert(weights: Weights, rows: Tensor, own: Weights, bias: Tensor, mask: Tensor) -> None:
        """As for classifiers; `bias` is not looked at, as the head is the same for all tasks."""
        of_classes = (rows + own.get("condition.weight", 0.0)) * mask[..., None]
        weights["patch.bias"] = weights["patch.bias"] + of_classes.sum(1) / mask.sum(1, keepdim=True)


def class_weights(spec: TransformerSpec) -> type[ClassifierRows] | type[ClassEmbeddings]:
    """Where models of this shape have their classes."""
    return ClassEmbeddings if spec.symbols else ClassifierRows


def told(spec: TransformerSpec, weights: Weights, classes: Tensor, mask: Tensor) -> Weights:
    """A source's canonical weights for `T` tasks of class ids `[T, K]`, with a leading axis where they differ.

    A classifier's logits are then those of the tasks' classes; a decoder is told these classes.
    """
    kind = class_weights(spec)
    told = {name: tensor[None] for name, tensor in weights.items() if name != "condition.weight"}
    bias = weights["head.bias"]
    of_classes = bias[classes] if kind is ClassifierRows else bias
    kind.insert(told, weights[kind.table][classes], {}, of_classes, mask)
    return told


def own_rows(table: Tensor, classes: Tensor, keep_rows: Tensor | None) -> Tensor:
    """What a model has learned for each class, `table` `[K_all, ...]`, for class ids `[T, K]`: `[T, K, ...]`.

    Class-row dropout: it is zero where `keep_rows` `[T, K]` is False, as it is for a class that no training task had.
    """
    rows = table[classes]
    return rows if keep_rows is None else rows * keep_rows.view(*keep_rows.shape, *(1,) * (rows.ndim - 2))
