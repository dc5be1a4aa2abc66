"""What the teacher says about every image, computed once: for training images about stored views of them.

On small students the teacher's forward pass would otherwise be most of the cost; TinyViT's fast distillation (Wu et
al., 2022, arXiv 2207.10666) stores logits with the augmentation they belong to in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.config import ExtractTeacherConfig, Precision
from projpipe.images.augmentation import sample_affine
from projpipe.images.streamed import Images
from projpipe.objectives import Objective
from projpipe.training.precision import computing_in
from projpipe.training.prefetch import Chunks, read_ahead
from projpipe.training.progress import progress_bar

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
    loading_workers: int = 0,
    precision: Precision = "float32",
) -> Tensor:
    """What is to be said about images, batch by batch, with the model in eval mode.

    Args:
        say: of encoded images `[B, ...]` and their rows `[B]` among `image_ids`.
        images: uint8 [N_all, H, W, C].
        image_ids: rows of `images` [N].
        device: where the model is.
        affine: [N, 2, 3], through which to see the images; None for as they are.
        loading_workers: processes that read ahead, see `read_ahead`.
        precision: of matrix products.

    Returns:
        `[N, ...]`, on the CPU.
    """
    model.eval()
    said = []
    chunks = Chunks(objective, images, image_ids, batch_size, affine)
    for rows, batch in read_ahead(chunks, range(len(chunks)), loading_workers, device):
        with computing_in(precision, device):
            said.append(say(batch.to(device, non_blocking=True), rows).cpu())
    return torch.cat(said)


def cache_teacher_logits(
    model: nn.Module,
    images: Images,
    index: pd.DataFrame,
    card: Mapping[str, Any],
    objective: Objective,
    config: ExtractTeacherConfig,
    device: torch.device,
) -> dict[str, Tensor]:
    """The teacher's logits for `augmentation.copies` views of each training image, and how it scores test images.

    The first view is the image itself, the others are drawn with the seed. What is judged, the scores, is computed in
    float32 whatever the config says.

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
    augmentation = config.augmentation
    count, copies = len(ids["train"]), augmentation.copies
    height, width = card["image_size"]
    generator = torch.Generator().manual_seed(config.seed)
    identity = torch.eye(2, 3).expand(1, count, 2, 3)
    drawn = sample_affine(augmentation, (copies - 1) * count, generator, aspect=width / height)
    affine = torch.cat([identity, drawn.view(copies - 1, count, 2, 3)])

    def taught(batch: Tensor, rows: Tensor) -> Tensor:
        return objective.teacher_logits(model, batch, labels[rows].to(device)).to(objective.stored_as)

    def class_scores(batch: Tensor, rows: Tensor) -> Tensor:
        return objective.class_scores(model, batch).float()

    views = [None if i == 0 else affine[i] for i in range(copies)]
    workers = config.loading_workers
    say = partial(run_on, model=model, objective=objective, images=images, device=device, loading_workers=workers)
    logits = []
    with progress_bar("cache teacher logits", copies) as show:
        for done, view in enumerate(views, start=1):
            logits.append(say(taught, image_ids=ids["train"], affine=view, precision=config.precision))
            show(done, f"view {done}/{copies} of every image")
    return {
        "train_logits": torch.stack(logits),
        **({"train_affine": affine} if copies > 1 else {}),
        "test_class_scores": say(class_scores, image_ids=ids["test"]),
        **{f"{split}_image_ids": torch.from_numpy(rows) for split, rows in ids.items()},
    }


def rows_of(index: pd.DataFrame, split: str) -> np.ndarray:
    """Image ids of a split, int64 [N]."""
    return index.loc[index["split"] == split, "image_id"].to_numpy(copy=True)
