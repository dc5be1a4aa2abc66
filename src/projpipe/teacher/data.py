"""The images that a teacher learns from and is asked about, with all that is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from projpipe.images.dataset_card import DatasetCard
from projpipe.images.streamed import Images
from projpipe.objectives import Objective
from projpipe.tasks.classes import class_of_image
from projpipe.training.prefetch import Chunks, prefetch


@dataclass(frozen=True)
class TeacherData:
    """Images as a teacher reads them.

    Args:
        images: uint8 `[N, H, W, C]`, packed or streamed.
        index: of the images, see `schemas.IMAGE_INDEX`.
        card: of the data set.
        objective: what the teacher learns, which encodes them.
        device: where the teacher is.
        loading_workers: processes that prefetch, see `prefetch`.
    """

    images: Images
    index: pd.DataFrame
    card: DatasetCard
    objective: Objective
    device: torch.device
    loading_workers: int = 0

    @cached_property
    def labels(self) -> Tensor:
        """Class ids of all images, int64 `[N]`."""
        return class_of_image(self.index)

    @property
    def aspect(self) -> float:
        """Width of the images over their height."""
        height, width = self.card.image_size
        return width / height

    def image_ids(self, split: str) -> np.ndarray:
        """Rows of the images of a split, int64 `[N_split]`."""
        return rows_of(self.index, split)

    def batch(self, image_ids: np.ndarray, affine: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """These images, encoded `[B, ...]`, seen through `affine` `[B, 2, 3]`, and their class ids `[B]`."""
        encoded = self.objective.encode(self.images[image_ids], affine)
        return encoded.to(self.device), self.labels[image_ids].to(self.device)

    def batches(
        self, image_ids: np.ndarray, size: int, affine: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The same in batches of `size`, the next ones prefetched."""
        chunks = Chunks(self.objective, self.images, image_ids, size, affine)
        for rows, encoded in prefetch(chunks, range(len(chunks)), self.loading_workers, self.device):
            labels = self.labels[image_ids[rows.numpy()]]
            yield encoded.to(self.device, non_blocking=True), labels.to(self.device)


def rows_of(index: pd.DataFrame, split: str) -> np.ndarray:
    """Image ids of a split, int64 `[N]`, in the order of the table."""
    return index.loc[index["split"] == split, "image_id"].to_numpy(copy=True)
