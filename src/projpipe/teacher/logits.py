"""What the teacher says about every image, computed once: for training images about stored views of them.

On small students the teacher's forward pass would otherwise be most of the cost; TinyViT's fast distillation (Wu et
al., 2022, arXiv 2207.10666) stores logits with the augmentation they belong to in the same way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from projpipe.config import ExtractTeacherConfig, Precision
from projpipe.images.augmentation import sample_affine
from projpipe.images.dataset_card import SPLITS
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.teacher.data import TeacherData
from projpipe.training.precision import computing_in
from projpipe.training.progress import progress_bar

BATCH_SIZE = 512


@torch.inference_mode()
def run_on(
    say: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    data: TeacherData,
    image_ids: np.ndarray,
    affine: Tensor | None = None,
    batch_size: int = BATCH_SIZE,
    precision: Precision = "float32",
) -> Tensor:
    """What is to be said about images, batch by batch, with the model in eval mode.

    Args:
        say: of encoded images `[B, ...]` and their class ids `[B]`.
        model: on the device of the data.
        image_ids: rows of the images [N].
        affine: [N, 2, 3], through which to see the images; None for as they are.
        precision: of matrix products.

    Returns:
        `[N, ...]`, on the CPU.
    """
    model.eval()
    said = []
    for batch, labels in data.batches(image_ids, batch_size, affine):
        with computing_in(precision, data.device):
            said.append(say(batch, labels).cpu())
    return torch.cat(said)


def cache_teacher_logits(model: nn.Module, data: TeacherData, config: ExtractTeacherConfig) -> TeacherLogits:
    """The teacher's logits for `augmentation.copies` views of each training image, and how it scores test images.

    The first view is the image itself, the others are drawn with the seed. What is judged, the scores, is computed in
    float32 whatever the config says. The model is the teacher, on the device of the data.
    """
    objective, ids = data.objective, {split: data.image_ids(split) for split in SPLITS}
    affine = _views(data, len(ids["train"]), config)

    def taught(batch: Tensor, labels: Tensor) -> Tensor:
        return objective.teacher_logits(model, batch, labels).to(objective.stored_as)

    def class_scores(batch: Tensor, labels: Tensor) -> Tensor:
        return objective.class_scores(model, batch).float()

    logits, copies = [], len(affine)
    with progress_bar("cache teacher logits", copies) as show:
        for done, view in enumerate([None, *affine[1:]], start=1):
            logits.append(run_on(taught, model, data, ids["train"], view, precision=config.precision))
            show(done, f"view {done}/{copies} of every image")
    return TeacherLogits(
        train_logits=torch.stack(logits),
        train_affine=affine if copies > 1 else None,
        test_class_scores=run_on(class_scores, model, data, ids["test"]),
        image_ids={split: torch.from_numpy(rows) for split, rows in ids.items()},
    )


def _views(data: TeacherData, count: int, config: ExtractTeacherConfig) -> Tensor:
    """Affine maps `[A, count, 2, 3]` of `A` views of so many images, of which the first is the image itself."""
    others = config.augmentation.copies - 1
    generator = torch.Generator().manual_seed(config.seed)
    drawn = sample_affine(config.augmentation, others * count, generator, aspect=data.aspect)
    identity = torch.eye(2, 3).expand(1, count, 2, 3)
    return torch.cat([identity, drawn.view(others, count, 2, 3)])
