"""What a trained projector's students of one size are like: their scores on validation tasks, and their latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.evaluation.other_row import OfTask, Seen, fit_other_row, kept, threshold_of
from projpipe.evaluation.scores import masked_scores, task_scores
from projpipe.evaluation.summary import DIGITS, mean_score
from projpipe.images.noise import noise_images
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Classification, Objective
from projpipe.objectives.classification import energy_score
from projpipe.students.size_table import MeasuredSize
from projpipe.students.stopwatch import time_of
from projpipe.tasks.task import median_by_size
from projpipe.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

MOST_IMAGES = 200  # of a task, and of other classes, that what is none of its classes is learned from
NOISE = 100  # images of noise that it is learned from, and other ones that it is judged on


@dataclass(frozen=True)
class SizeJudge:
    """Judges students on validation tasks.

    Args:
        objective: says what is judged.
        read: rows of `labels` to encoded images `[n, ...]`.
        labels: class ids `[N]` of validation images; `limited` leaves out what is more than so many of a class.
        tasks: the validation tasks, with the columns of `schemas.TASKS`.
        batch, threads: of the forward pass whose latency is measured.
    """

    objective: Objective
    read: Callable[[Tensor], Tensor]
    labels: Tensor
    tasks: pd.DataFrame
    batch: int
    threads: int

    @property
    def classes(self) -> list[int]:
        """Those of the task in the middle by its number of classes: sizes and speeds are of its models."""
        return list(map(int, median_by_size(list(self.tasks["class_ids"]))))

    def measure(self, model: TaskModel, size: TransformerSpec) -> MeasuredSize:
        """A size of a model's students."""
        score, interval, per_doubling = self.score(model, size)
        student = model.specialise(self.classes, size=size)
        images = self.objective.blank(self.batch)
        taken = time_of(partial(self.objective.logits, student, images), self.threads)
        return MeasuredSize(
            size.embed_dim,
            size.depth,
            size.num_heads,
            size.mlp_dim,
            score,
            interval,
            params=_parameters(student),
            macs=size.deployed_macs(len(self.classes)),
            file_bytes=_file_bytes(student),
            latency_ms=taken["median_ms"],
            undisturbed_ms=taken["undisturbed_ms"],
            per_doubling=per_doubling,
        )

    def score(self, model: TaskModel, size: TransformerSpec) -> tuple[float, tuple[float, float], float | None]:
        """The mean over tasks, its 95 % interval, and what it changes by where the number of classes doubles."""
        specialise = partial(model.specialise, size=size)
        scores = task_scores({0: specialise}, self.objective, self.read, self.labels, self.tasks)[0]
        return *mean_score(scores, self.objective.metric), _per_doubling(scores)

    @property
    def task_classes(self) -> tuple[int, float, int]:
        """How many classes the tasks have: the fewest, the geometric mean and the most."""
        counts = self.tasks["class_ids"].map(len)
        return int(counts.min()), round(float(np.exp(np.log(counts).mean())), 4), int(counts.max())

    def with_others(self, model: TaskModel, size: MeasuredSize) -> MeasuredSize:
        """A size with what its models take for none of their classes; unchanged for models that are no classifiers."""
        if not isinstance(self.objective, Classification):
            return size
        spec = size.of(model.generator.spec)
        every = [list(map(int, classes)) for classes in self.tasks["class_ids"]]
        seen = [self._of_task(model.specialise(classes, size=spec), classes) for classes in every]
        tasks, unseen = [task for task, _ in seen], [noise for _, noise in seen]
        row = fit_other_row(tasks)
        threshold = threshold_of(tasks, row)
        return replace(
            size,
            energy_threshold=threshold,
            other_row=tuple(round(value, DIGITS) for value in row.tolist()),
            others_kept=kept([task.others for task in tasks], row, threshold),
            noise_kept=kept(unseen, row, threshold),
        )

    @torch.inference_mode()
    def _of_task(self, student: VisionTransformer, classes: Sequence[int]) -> tuple[OfTask, Seen]:
        """What a task's model shows of images that a row is learned from, and of noise that it is judged on."""

        def see(images: Tensor) -> Seen:
            features = student.forward_head(student.forward_features(images), pre_logits=True)
            return Seen(energy_score(student.head(features)), features)

        own = torch.isin(self.labels, torch.tensor(list(classes)))
        own_rows, other_rows = (of.nonzero().flatten() for of in (own, ~own))
        some = [see(self.read(rows[:: max(1, -(-len(rows) // MOST_IMAGES))])) for rows in (own_rows, other_rows)]
        noise, unseen = (see(images) for images in self._noise)
        return OfTask(some[0], some[1], noise), unseen

    @cached_property
    def _noise(self) -> tuple[Tensor, Tensor]:
        """Encoded images of noise, and others."""
        channels, height, width = self.objective.blank(1).shape[1:]
        learned, unseen = (noise_images(NOISE, (height, width, channels), seed) for seed in (0, 1))
        return self.objective.encode(learned), self.objective.encode(unseen)

    def teacher_row(self, teacher: nn.Module) -> dict[str, object]:
        """The teacher, held to the classes of each task, as a row of `schemas.PARETO_FRONT`."""
        spec, images = TransformerSpec.of(teacher), self.objective.blank(self.batch)
        latency = time_of(partial(self.objective.logits, teacher, images), self.threads)
        return {
            "method": "teacher",
            "embed_dim": spec.embed_dim,
            "depth": spec.depth,
            "num_heads": spec.num_heads,
            "mlp_dim": spec.mlp_dim,
            "params": _parameters(teacher),
            "latency_ms": latency["median_ms"],
            "validation_score": self._teacher_score(teacher),
            "recommended": False,
        }

    def _teacher_score(self, teacher: nn.Module) -> float:
        rows = torch.arange(len(self.labels))
        with torch.inference_mode():
            of_images = [self.objective.class_scores(teacher, self.read(some)) for some in rows.split(256)]
        scores = masked_scores(self.objective, torch.cat(of_images), self.labels, self.tasks)
        return mean_score(scores, self.objective.metric)[0]


def limited(labels: Tensor, count: int) -> Tensor:
    """Rows of `labels` `[N]`, at most the first `count` of each class, in order."""
    seen = np.zeros(int(labels.max()) + 1, dtype=int)
    kept = []
    for row, label in enumerate(labels.tolist()):
        seen[label] += 1
        if seen[label] <= count:
            kept.append(row)
    return torch.tensor(kept)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _file_bytes(model: nn.Module) -> int:
    """How large a model's weights are in a file."""
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    return len(save(tensors, metadata={"format": "pt"}))


def _per_doubling(scores: pd.DataFrame) -> float | None:
    """The slope of a straight line through tasks' scores against the binary logarithm of their number of classes."""
    doublings = np.log2(scores["num_classes"].to_numpy())
    if np.ptp(doublings) == 0:
        return None
    return round(float(np.polyfit(doublings, scores["score"].to_numpy(), 1)[0]), DIGITS)
