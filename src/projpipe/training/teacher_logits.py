"""What the teacher says about every image, computed once: for training images about stored views of them.

On small students the teacher's forward pass would otherwise be most of the cost; TinyViT's fast distillation (Wu et
al., 2022, arXiv 2207.10666) stores logits with the augmentation they belong to in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.config import Augmentation
from projpipe.images.augmentation import sample_affine
from projpipe.images.streamed import Images
from projpipe.transformer.objectives import Objective

BATCH_SIZE = 512


@torch.inference_mode()
def run_on(
    say: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    objective: Objective,
    images: Images,
    image_ids: np.ndarray,
    device: torch.device,
    affine: Tensor | None = None,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """What is to be said about images, batch by batch, with the model in eval mode.

    Args:
        say: of encoded images `[B, ...]` and their rows `[B]` among `image_ids`.
        images: uint8 [N_all, H, W, C].
        image_ids: rows of `images` [N].
        device: where the model is.
        affine: [N, 2, 3], through which to see the images; None for as they are.

    Returns:
        `[N, ...]`, on the CPU.
    """
    model.eval()
    said = []
    for rows in torch.arange(len(image_ids)).split(batch_size):
        batch = objective.encode(images[image_ids[rows.numpy()]], None if affine is None else affine[rows])
        said.append(say(batch.to(device), rows).cpu())
    return torch.cat(said)


def cache_teacher_logits(
    model: nn.Module,
    images: Images,
    index: pd.DataFrame,
    card: Mapping[str, Any],
    objective: Objective,
    augmentation: Augmentation,
    seed: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """The teacher's logits for `augmentation.copies` views of each training image, and how it scores test images.

    The first view is the image itself, the others are drawn with the seed.

    Args:
        model: the teacher, on `device`.
        images: uint8 [N_all, H, W, C].
        index: of the images, see `schemas.IMAGE_INDEX`.
        card: of the data set: `image_size` [H, W].

    Returns:
        `train_logits` [A, N, ...], for several views `train_affine` [A, N, 2, 3], `test_class_scores` [N, K], and
        `<split>_image_ids` [N] of each split.
    """
    ids = {split: rows_of(index, split) for split in ("train", "validation", "test")}
    labels = torch.tensor(index["class_id"].to_numpy()[ids["train"]])
    count, copies = len(ids["train"]), augmentation.copies
    height, width = card["image_size"]
    generator = torch.Generator().manual_seed(seed)
    identity = torch.eye(2, 3).expand(1, count, 2, 3)
    drawn = sample_affine(augmentation, (copies - 1) * count, generator, aspect=width / height)
    affine = torch.cat([identity, drawn.view(copies - 1, count, 2, 3)])

    def taught(batch: Tensor, rows: Tensor) -> Tensor:
        return objective.teacher_logits(model, batch, labels[rows].to(device)).to(objective.stored_as)

    def class_scores(batch: Tensor, rows: Tensor) -> Tensor:
        return objective.class_scores(model, batch).float()

    views = [None if i == 0 else affine[i] for i in range(copies)]
    logits = [run_on(taught, model, objective, images, ids["train"], device, view) for view in views]
    return {
        "train_logits": torch.stack(logits),
        **({"train_affine": affine} if copies > 1 else {}),
        "test_class_scores": run_on(class_scores, model, objective, images, ids["test"], device),
        **{f"{split}_image_ids": torch.from_numpy(rows) for split, rows in ids.items()},
    }


def rows_of(index: pd.DataFrame, split: str) -> np.ndarray:
    """Image ids of a split, int64 [N]."""
    return index.loc[index["split"] == split, "image_id"].to_numpy(copy=True)
