"""One optimisation loop for the projector and for every baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from projpipe.config import OptimisationConfig
from projpipe.errors import DivergenceError
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Objective
from projpipe.objectives.batch import Batch
from projpipe.tensors import prefixed, starting_with
from projpipe.training.batches import LabelledImages
from projpipe.training.precision import computing_in
from projpipe.training.trainer import Schedule, Trainer
from projpipe.transformer.class_weights import pad_tasks
from projpipe.transformer.spec import TransformerSpec

FORWARD_IMAGES = 256  # most images in one validation forward pass
SOURCE_MAY_LOSE = 0.005  # of its score, where it is tuned: half a point of accuracy
BEST = "best."  # what tensors of the best model start with, in a checkpoint


@dataclass(frozen=True)
class Judgement:
    """Scores of a model on the validation tasks, and of a source that is tuned; whether it is the best so far."""

    validation_score: float
    source_score: float | None
    kept: bool


class StudentTrainer:
    """Trains what makes students, and keeps the best of its moving average.

    Args:
        model: trained in place.
        wrap: how it is wrapped for data-parallel training.
        objective: what it learns.
    """

    def __init__(
        self,
        model: TaskModel,
        wrap: Callable[[nn.Module], nn.Module],
        objective: Objective,
        config: OptimisationConfig,
        learning_rate: float,
    ) -> None:
        self.model, self.wrapped, self.objective, self.config = model, wrap(model), objective, config
        groups = [
            {
                "params": group.parameters,
                "lr": learning_rate * group.rate,
                "weight_decay": config.weight_decay if group.decays else 0.0,
            }
            for group in model.parameter_groups()
            if group.parameters
        ]
        schedule = Schedule(config.steps, config.warmup_fraction, config.gradient_clip, config.ema_decay)
        self.trainer = Trainer(model, groups, schedule)
        self.device = next(model.parameters()).device
        self.learning_rate = learning_rate
        self.best: dict[str, Tensor] = {}
        self.best_score: float | None = None  # of no model yet
        self.source_score: float | None = None  # at the start; None where the source is frozen

    @property
    def _averaged(self) -> TaskModel:
        """The model of the moving average."""
        assert isinstance(self.trainer.average, TaskModel)
        return self.trainer.average

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.trainer.step

    def train_step(self, batch: Batch, sizes: Sequence[TransformerSpec] = ()) -> float:
        """One step on one batch with students of these sizes, the largest alone if there are none; returns the loss.

        Raises:
            DivergenceError: the loss is no number any more.
        """
        self.wrapped.train()
        total = torch.zeros((), device=self.device)
        parts = batch.split(self.config.accumulate)
        for part in parts:
            with self._gradients_kept_here() if part is not parts[-1] else nullcontext():
                loss = self._loss(part, len(part.labels) / len(batch.labels), sizes)
                loss.backward()
            total += loss.detach()
        self.trainer.update()
        if not math.isfinite(reached := total.item()):
            raise DivergenceError(
                f"the loss is {reached} in step {self.step}; lower the learning rate, {self.learning_rate:g}"
            )
        return reached

    def _loss(self, batch: Batch, share: float, sizes: Sequence[TransformerSpec]) -> Tensor:
        """The loss of sizes on a batch, times `share`, and the source's where the batch has images for it.

        The first size, the largest, learns from the teacher and counts for half. Smaller ones learn from what it says:
        the distillation in place of Yu and Huang (arXiv 1903.05134).
        """
        with computing_in(self.config.precision, self.device):
            of_sizes, source_logits = self.wrapped(**batch.inputs, sizes=sizes)
        weight, temperature = self.config.distillation_weight, self.config.distillation_temperature
        largest, *smaller = (logits.float() for logits in of_sizes)
        loss = self.objective.loss(largest, batch, weight, temperature)
        if smaller:
            taught = replace(batch, teacher_logits=largest.detach())
            losses = [self.objective.loss(logits, taught, weight, temperature) for logits in smaller]
            loss = (loss + torch.stack(losses).mean()) / 2
        loss = share * loss
        if source_logits is not None and batch.source_images is not None and batch.source_labels is not None:
            loss = loss + self.objective.source_loss(source_logits.float(), batch.source_images, batch.source_labels)
        return loss

    def _gradients_kept_here(self) -> AbstractContextManager[object]:
        """While the body runs gradients are added up without being shared with other workers."""
        return self.wrapped.no_sync() if isinstance(self.wrapped, DistributedDataParallel) else nullcontext()

    @torch.no_grad()
    def judge(self, data: LabelledImages, tasks: Sequence[Sequence[int]], known: Tensor) -> Judgement:
        """Mean score of the averaged model over tasks, each on all images of its classes; keeps the best model.

        Where there are several sizes, it is that of the largest and the smallest together.
        Where the source is tuned, its own score on the `known` classes (ids, those of the training tasks) is measured
        too, and a model that has cost it more than `SOURCE_MAY_LOSE` since the start is not kept.
        """
        averaged, metric = self._averaged.eval(), self.objective.metric
        of_sizes = self.model.sizes
        ends = () if of_sizes is None else (of_sizes.largest, of_sizes.smallest)
        scores = [score for task in tasks for score in task_scores(averaged, data, task, self.device, ends)]
        score = sum(scores) / len(scores)
        source = self._judge_source(data, known) if self.model.tunes_source else None
        if self.source_score is None:
            self.source_score = source
        spoilt = (
            source is not None
            and self.source_score is not None
            and abs(source - self.source_score) > SOURCE_MAY_LOSE
            and metric.better(self.source_score, source)
        )
        kept = (self.best_score is None or metric.better(score, self.best_score)) and not spoilt
        if kept:
            self.best_score = score
            self.best = {name: value.clone() for name, value in averaged.state_dict().items()}
        return Judgement(score, source, kept)

    def _judge_source(self, data: LabelledImages, known: Tensor) -> float:
        """Mean score of the averaged source on all images of known classes."""
        of_known = torch.isin(data.labels, known).nonzero().flatten()
        total = 0.0
        for rows in of_known.split(FORWARD_IMAGES):
            images, labels = data.read(rows).to(self.device), data.labels[rows].to(self.device)
            logits = self._averaged.source_logits(images, labels)
            total += float(self.objective.scores(logits, images, labels).sum())
        return total / len(of_known)

    def state_tensors(self) -> dict[str, Tensor]:
        """All tensors that a checkpoint needs; the step and `best_score` go beside them."""
        return self.trainer.state_tensors() | prefixed(BEST, self.best)

    def load_state_tensors(self, step: int, best_score: float | None, tensors: Mapping[str, Tensor]) -> None:
        """Go on after `step` steps."""
        self.trainer.load_state_tensors(step, tensors)
        self.best_score = best_score
        self.best = {name: tensor.to(self.device, copy=True) for name, tensor in starting_with(BEST, tensors).items()}


def task_scores(
    model: TaskModel,
    data: LabelledImages,
    task: Sequence[int],
    device: torch.device,
    sizes: Sequence[TransformerSpec] = (),
) -> list[float]:
    """Mean score of the student of each size, of the largest if none is given, on the images of the task's classes."""
    found = image_scores(partial(model, sizes=sizes), data, task, device)
    return [float(scores.double().mean()) for scores in found]


def image_scores(
    forward: Callable[..., tuple[list[Tensor], Tensor | None]],
    data: LabelledImages,
    task: Sequence[int],
    device: torch.device,
) -> list[Tensor]:
    """Scores on every image of the task's classes, class by class: `[N]` for each size of `forward`, on the CPU."""
    rows = torch.cat([data.rows_of_class(class_id) for class_id in task])
    targets = torch.arange(len(task)).repeat_interleave(data.counts[list(task)])
    classes, mask = pad_tasks([task], device)
    parts = []
    for some_rows, some_targets in zip(rows.split(FORWARD_IMAGES), targets.split(FORWARD_IMAGES), strict=True):
        images = data.read(some_rows).to(device)
        wanted = some_targets.to(device)
        of_sizes, _ = forward(images[None], classes, mask)
        parts.append([data.objective.scores(logits[0], images, wanted) for logits in of_sizes])
    return [torch.cat(scores).cpu() for scores in zip(*parts, strict=True)]
