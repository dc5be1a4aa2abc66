"""Prefetching: what is needed next is read and encoded by other processes while this one computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from projpipe.errors import InputError
from projpipe.images.streamed import Images
from projpipe.objectives import Objective

Item = TypeVar("Item", covariant=True)


class Chunks(Dataset[tuple[Tensor, Tensor]]):
    """Encoded images in chunks: item `i` holds the rows `[B]` among `image_ids` and their images `[B, ...]`.

    Args:
        images: uint8 [N_all, H, W, C].
        image_ids: rows of `images` [N].
        affine: [N, 2, 3], through which to see the images; None for as they are.
    """

    def __init__(
        self, objective: Objective, images: Images, image_ids: np.ndarray, size: int, affine: Tensor | None = None
    ) -> None:
        self.objective, self.images, self.image_ids, self.affine = objective, images, image_ids, affine
        self.rows = torch.arange(len(image_ids)).split(size)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chunk: int) -> tuple[Tensor, Tensor]:
        rows = self.rows[chunk]
        affine = None if self.affine is None else self.affine[rows]
        return rows, self.objective.encode(self.images[self.image_ids[rows.numpy()]], affine)


def prefetch(
    items: Dataset[Item], order: Sequence[int], workers: int, device: torch.device = torch.device("cpu")
) -> Iterator[Item]:
    """Items in an order, the next ones read by `workers` processes; with 0 each is read here when it is asked for.

    They are the same whatever the number of workers. For a CUDA device they come in pinned memory.

    Raises:
        InputError: what reading an item raises, without the traceback of the process that read it.
    """
    loader = DataLoader(
        _Quiet(items),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        prefetch_factor=1 if workers else None,  # each has one ready: that many lie in shared memory
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # torch's global one is left as it is
    )
    for item in loader:
        if isinstance(item, InputError):
            raise item
        yield item


class _Quiet(Dataset[Item | InputError], Generic[Item]):
    """Gives an InputError back instead of raising it, so that it comes through from another process as it is."""

    def __init__(self, items: Dataset[Item]) -> None:
        self.items = items

    def __getitem__(self, position: int) -> Item | InputError:
        try:
            return self.items[position]
        except InputError as error:
            return error
