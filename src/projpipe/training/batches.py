"""Training batches: tasks, images of their classes, and what the teacher said about exactly these images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from projpipe.config import OptimisationConfig
from projpipe.images.streamed import Images
from projpipe.objectives import Objective
from projpipe.objectives.batch import Batch
from projpipe.transformer.class_weights import pad_tasks

CLASS_ROW_DROPOUT = 0.5  # how likely what was learned for a class alone is left out of a step


class LabelledImages:
    """Images of one split, with their labels and teacher logits, and which of them show which class.

    Args:
        objective: encodes them.
        images: uint8 `[N_all, H, W, C]`, memory-mapped or streamed; rows are read as they are asked for.
        image_ids: rows of this split `[N]`.
        labels: their class ids `[N]`.
        num_classes: of the data set.
        logits: the teacher's logits for every stored view of them `[A, N, ...]`; None where nothing is taught.
        affine: the views `[A, N, 2, 3]`; None where there is only the image itself.
    """

    def __init__(
        self,
        objective: Objective,
        images: Images,
        image_ids: Tensor,
        labels: Tensor,
        num_classes: int,
        logits: Tensor | None = None,
        affine: Tensor | None = None,
    ) -> None:
        self.objective, self.images, self.image_ids, self.labels = objective, images, image_ids.numpy(), labels
        self.logits, self.affine = logits, affine
        self.rows_by_class = labels.argsort(stable=True)
        self.counts = torch.bincount(labels, minlength=num_classes)
        self.starts = self.counts.cumsum(0) - self.counts

    def rows_of_class(self, class_id: int) -> Tensor:
        """All rows that show a class."""
        return self.rows_by_class[self.starts[class_id] : self.starts[class_id] + self.counts[class_id]]

    def examples(self, task: Sequence[int], per_class: int) -> tuple[Tensor, Tensor]:
        """Encoded images `[n, ...]` of a task, at most so many of a class, and their targets `[n]`."""
        rows = [self.rows_of_class(class_id)[:per_class] for class_id in task]
        targets = torch.arange(len(task)).repeat_interleave(torch.tensor(list(map(len, rows))))
        return self.read(torch.cat(rows)), targets

    def pick(self, class_ids: Tensor, fractions: Tensor) -> Tensor:
        """For every class id the row at a fraction of its images: 0 is the first, 1 would be beyond the last."""
        return self.rows_by_class[self.starts[class_ids] + (fractions * self.counts[class_ids]).long()]

    def read(self, rows: Tensor, views: Tensor | None = None) -> Tensor:
        """Encoded images `[n, ...]` of these rows, seen as the stored `views` `[n]`."""
        affine = None if views is None or self.affine is None else self.affine[views, rows]
        return self.objective.encode(self.images[self.image_ids[rows.numpy()]], affine)


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from (the train split and tasks), what it chooses by (validation), what it is judged on.

    `train_weights` say how often each train task is drawn, against the others; all equally often if empty.
    """

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    train_tasks: Sequence[Sequence[int]]
    train_weights: Sequence[float]
    validation_tasks: Sequence[Sequence[int]]

    @property
    def objective(self) -> Objective:
        """What models learn."""
        return self.train.objective


def draw_batch(
    data: TrainingData,
    tasks_per_step: int,
    images_per_task: int,
    seed: tuple[int, ...],
    share: slice = slice(None),
    source_images: int = 0,
) -> Batch:
    """Draw train tasks, for each of them classes, for each of these an image and one of its stored views.

    Where the weights of tasks differ, a task may be drawn twice; where they are alike, all are drawn equally often.

    Args:
        seed: fixes the draw; (seed of the run, step) makes a stopped run go on exactly as it would have.
        share: which of the drawn tasks to return, so that workers divide one batch between them.
        source_images: how many images of classes of any training task to draw besides, for the source's own objective.
    """
    train, tasks, weights = data.train, data.train_tasks, data.train_weights
    rng = np.random.default_rng(seed)
    if len(set(weights)) > 1:
        picked = rng.choice(len(tasks), size=tasks_per_step, p=np.asarray(weights) / sum(weights))
    else:
        picked = rng.choice(len(tasks), size=tasks_per_step, replace=len(tasks) < tasks_per_step)
    drawn = [tasks[i] for i in picked]
    labels = np.stack([_balanced_labels(rng, len(task), images_per_task) for task in drawn])
    assert train.logits is not None
    fractions, views = rng.random(labels.shape), rng.integers(len(train.logits), size=labels.shape)
    keep_rows = torch.from_numpy(rng.random((len(drawn), max(map(len, drawn)))) < 1 - CLASS_ROW_DROPOUT)

    classes, mask = pad_tasks(drawn[share])
    drawn_for_all = (labels, fractions, views)
    own_labels, own_fractions, own_views = (torch.from_numpy(of_all[share]) for of_all in drawn_for_all)
    rows = train.pick(classes.gather(1, own_labels), own_fractions)
    images = train.read(rows.flatten(), own_views.flatten())
    for_source = {}
    if source_images:
        of_tasks = rng.choice(len(tasks), source_images)
        known = torch.tensor([rng.choice(tasks[task]) for task in of_tasks])  # of a held-out class nothing is learned
        some = train.pick(known, torch.from_numpy(rng.random(source_images)))
        seen_as = torch.from_numpy(rng.integers(len(train.logits), size=source_images))
        for_source = {"source_images": train.read(some, seen_as), "source_labels": train.labels[some]}
    return Batch(
        images=images.view(*rows.shape, *images.shape[1:]),
        labels=own_labels,
        teacher_logits=train.objective.of_task(train.logits[own_views, rows], classes),
        classes=classes,
        mask=mask,
        keep_rows=keep_rows[share, : classes.shape[1]],
        **for_source,
    )


class StepBatches(Dataset[Batch]):
    """The batch of every step of a run, `draw_batch` of (seed of the run, step); or a worker's share of it."""

    def __init__(
        self,
        data: TrainingData,
        schedule: OptimisationConfig,
        seed: int,
        share: slice,
        source_images: int,
    ) -> None:
        self.data, self.schedule = data, schedule
        self.seed, self.share, self.source_images = seed, share, source_images

    def __getitem__(self, step: int) -> Batch:
        per_step, per_task = self.schedule.tasks_per_step, self.schedule.images_per_task
        return draw_batch(self.data, per_step, per_task, (self.seed, step), self.share, self.source_images)


def _balanced_labels(rng: np.random.Generator, classes: int, count: int) -> np.ndarray:
    """`count` labels of `0..classes - 1`, as evenly spread as the count allows, in random order."""
    order = rng.permutation(classes)
    return rng.permutation(np.resize(order, count))
