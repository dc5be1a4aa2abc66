"""What the teacher says about every image, computed once: for training images about stored views of them.

On small students the teacher's forward pass would otherwise be most of the cost; TinyViT's fast distillation (Wu et
al., 2022, arXiv 2207.10666) stores logits with the augmentation they belong to in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.config import Augmentation
from projpipe.images.augmentation import sample_affine, warp
from projpipe.images.normalisation import normalise

BATCH_SIZE = 512


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: np.ndarray,
    image_ids: np.ndarray,
    card: Mapping[str, Any],
    device: torch.device,
    affine: Tensor | None = None,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """Logits of a model in eval mode.

    Args:
        images: uint8 [N_all, H, W, C].
        image_ids: rows of `images` [N].
        card: of the data set: `mean` and `std`.
        device: where the model is.
        affine: [N, 2, 3], through which to see the images; None for as they are.

    Returns:
        float32 [N, K], on the CPU.
    """
    logits = []
    for start in range(0, len(image_ids), batch_size):
        rows = slice(start, start + batch_size)
        batch = normalise(images[image_ids[rows]], card["mean"], card["std"]).to(device)
        if affine is not None:
            batch = warp(batch, affine[rows].to(device))
        logits.append(model(batch).float().cpu())
    return torch.cat(logits)


def cache_teacher_logits(
    model: nn.Module,
    images: np.ndarray,
    index: pd.DataFrame,
    card: Mapping[str, Any],
    augmentation: Augmentation,
    seed: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """The teacher's logits for `augmentation.copies` views of each training image, and for all other images.

    The first view is the image itself, the others are drawn with the seed.

    Args:
        model: the teacher, in eval mode, on `device`.
        images: uint8 [N_all, H, W, C].
        index: of the images, see `schemas.IMAGE_INDEX`.
        card: of the data set: `mean`, `std` and `image_size` [H, W].

    Returns:
        `train_image_ids` [N], `train_affine` [A, N, 2, 3], `train_logits` [A, N, K], and for validation and test
        `<split>_image_ids` [N], `<split>_logits` [N, K].
    """
    ids = {split: rows_of(index, split) for split in ("train", "validation", "test")}
    count, copies = len(ids["train"]), augmentation.copies
    height, width = card["image_size"]
    generator = torch.Generator().manual_seed(seed)
    identity = torch.eye(2, 3).expand(1, count, 2, 3)
    drawn = sample_affine(augmentation, (copies - 1) * count, generator, aspect=width / height)
    affine = torch.cat([identity, drawn.view(copies - 1, count, 2, 3)])
    return {
        "train_image_ids": torch.from_numpy(ids["train"]),
        "train_affine": affine,
        "train_logits": torch.stack([predict(model, images, ids["train"], card, device, view) for view in affine]),
        "validation_image_ids": torch.from_numpy(ids["validation"]),
        "validation_logits": predict(model, images, ids["validation"], card, device),
        "test_image_ids": torch.from_numpy(ids["test"]),
        "test_logits": predict(model, images, ids["test"], card, device),
    }


def rows_of(index: pd.DataFrame, split: str) -> np.ndarray:
    """Image ids of a split, int64 [N]."""
    return index.loc[index["split"] == split, "image_id"].to_numpy(copy=True)
