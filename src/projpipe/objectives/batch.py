"""What one step learns from: tasks, images of their classes, and what the teacher said about exactly these images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

OF_TASKS = ("images", "labels", "teacher_logits", "classes", "mask", "keep_rows")


@dataclass(frozen=True)
class Batch:
    """`T` tasks with `B` images each; `K` is the largest number of classes of a task in the batch.

    `images` [T, B, ...] as the objective encodes them, `labels` [T, B] (positions within the task's classes),
    `teacher_logits` [T, B, ...] of the task, `classes` [T, K] (class ids), `mask` [T, K] (False where a row is only
    filled up), `keep_rows` [T, K] (class-row dropout: False where what was learned for a class is left out, so that a
    model learns to do without it, as it must for a class of no training task). Where the source learns too,
    `source_images` [S, ...] and `source_labels` [S] (class ids) are of all known classes.
    """

    images: Tensor
    labels: Tensor
    teacher_logits: Tensor
    classes: Tensor
    mask: Tensor
    keep_rows: Tensor
    source_images: Tensor | None = None
    source_labels: Tensor | None = None

    @property
    def inputs(self) -> dict[str, Tensor | None]:
        """What a `TaskModel` is called with."""
        names = ("images", "classes", "mask", "source_images", "source_labels", "keep_rows")
        return {name: getattr(self, name) for name in names}

    def to(self, device: torch.device) -> Batch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """In memory from which a GPU copies while it computes; a DataLoader asks for it."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(**{name: change(value) for name, value in vars(self).items() if value is not None})

    def split(self, parts: int) -> list[Batch]:
        """The tasks in `parts` of equal size where that divides `T`; images of the source go with the last."""
        sizes = -(-len(self.labels) // parts)
        pieces = zip(*(getattr(self, name).split(sizes) for name in OF_TASKS), strict=True)
        batches = [Batch(**dict(zip(OF_TASKS, piece, strict=True))) for piece in pieces]
        last = replace(batches[-1], source_images=self.source_images, source_labels=self.source_labels)
        return [*batches[:-1], last]
