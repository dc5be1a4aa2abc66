"""One optimisation loop for the projector and for every baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel

from projpipe.config import OptimisationConfig
from projpipe.errors import DivergenceError
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Objective
from projpipe.objectives.batch import Batch
from projpipe.training.batches import LabelledImages, pad_tasks
from projpipe.training.precision import computing_in

FORWARD_IMAGES = 256  # most images in one validation forward pass
# Of a tuned source, and of the weights that a projector learns freely, as shares of the projector's.
LEARNING_RATES = {".tuned_weights.": 0.1, ".free.": 5.0}
SOURCE_MAY_LOSE = 0.005  # of its score, where it is tuned: half a point of accuracy


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from (the train split and tasks), what it chooses by (validation), what it is judged on."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    train_tasks: Sequence[Sequence[int]]
    validation_tasks: Sequence[Sequence[int]]

    @property
    def objective(self) -> Objective:
        """What models learn."""
        return self.train.objective


class Trainer:
    """A model with its optimiser, schedule and moving average.

    The state that a checkpoint needs is in `state_tensors` and the step; batches are functions of the step, so that
    no state of a random generator has to be kept.

    Args:
        model: trained in place; wrapped for data-parallel training or not.
        plain: the same model without a wrapper, whose moving average is kept.
        objective: what it learns.
    """

    def __init__(
        self,
        model: nn.Module,
        plain: TaskModel,
        objective: Objective,
        config: OptimisationConfig,
        learning_rate: float,
    ) -> None:
        self.model, self.plain, self.objective, self.config = model, plain, objective, config
        self.names = [name for name, _ in plain.named_parameters()]
        parameters = dict(plain.named_parameters())
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name in self.names:
            decay = config.weight_decay if _decays(name) else 0.0
            share = next((share for part, share in LEARNING_RATES.items() if part in name), 1.0)
            groups.setdefault((decay, learning_rate * share), []).append(parameters[name])
        self.optimizer = torch.optim.AdamW(
            [{"params": group, "weight_decay": decay, "peak": peak} for (decay, peak), group in groups.items()],
            lr=learning_rate,
            fused=True,
        )
        self.device = next(plain.parameters()).device
        self.rate = learning_rate
        self.step = 0
        self.average = {name: value.detach().clone() for name, value in plain.state_dict().items()}
        self.best: dict[str, Tensor] = {}
        self.best_score: float | None = None  # of no model yet
        self.source_score: float | None = None  # at the start; None where the source is frozen

    def train_step(self, batch: Batch) -> float:
        """One step on one batch; returns the loss.

        Raises:
            DivergenceError: the loss is no number any more.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * one_cycle(self.step, self.config.steps, self.config.warmup_fraction)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        parts = batch.split(self.config.accumulate)
        for part in parts:
            with self._gradients_kept_here() if part is not parts[-1] else nullcontext():
                loss = self._loss(part, share=len(part.labels) / len(batch.labels))
                loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.plain.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.step += 1
        # A short memory at first: the start should not linger in the average.
        decay = min(self.config.ema_decay, self.step / (self.step + 10))
        state = self.plain.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [state[name] for name in self.average], 1 - decay)
        if not math.isfinite(reached := total.item()):
            raise DivergenceError(f"the loss is {reached} in step {self.step}; lower the learning rate, {self.rate:g}")
        return reached

    def _loss(self, batch: Batch, share: float) -> Tensor:
        """The loss of the tasks of a batch times `share`, and that of the source where the batch has images for it."""
        with computing_in(self.config.precision, self.device):
            logits, source_logits = self.model(**batch.inputs)
        weight, temperature = self.config.distillation_weight, self.config.distillation_temperature
        loss = share * self.objective.loss(logits.float(), batch, weight, temperature)
        if source_logits is not None and batch.source_images is not None and batch.source_labels is not None:
            loss = loss + self.objective.source_loss(source_logits.float(), batch.source_images, batch.source_labels)
        return loss

    def _gradients_kept_here(self) -> AbstractContextManager[object]:
        """While the body runs gradients are added up without being shared with other workers."""
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) else nullcontext()

    @torch.no_grad()
    def judge(self, data: LabelledImages, tasks: Sequence[Sequence[int]]) -> dict[str, float | bool | None]:
        """Mean score of the averaged model over tasks, each on all images of its classes; keeps the best model.

        `kept` says whether this model is the best so far.

        Where the source is tuned, its own score is measured too, and a model that has cost it more than
        `SOURCE_MAY_LOSE` since the start is not kept.
        """

        def forward(*inputs: Tensor) -> tuple[Tensor, None]:
            return functional_call(self.plain, self.average, inputs)

        self.plain.eval()
        metric = self.objective.metric
        score = sum(task_score(forward, data, task, self.device) for task in tasks) / len(tasks)
        source = self._judge_source(data) if self.plain.tunes_source else None
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
            self.best = {name: value.clone() for name, value in self.average.items()}
        return {"validation_score": score, "source_score": source, "kept": kept}

    def _judge_source(self, data: LabelledImages) -> float:
        """Mean score of the averaged source on all images."""
        total = 0.0
        for rows in torch.arange(len(data.labels)).split(FORWARD_IMAGES):
            images, labels = data.read(rows).to(self.device), data.labels[rows].to(self.device)
            ids = torch.zeros(1, 1, dtype=torch.long, device=self.device)
            inputs = {"source_images": images, "source_labels": labels}
            _, logits = functional_call(self.plain, self.average, (images[None, :1], ids, ids == 0), inputs)
            total += float(self.objective.scores(logits, images, labels).sum())
        return total / len(data.labels)

    def state_tensors(self) -> dict[str, Tensor]:
        """All tensors that a checkpoint needs; the step and `best_score` go beside them."""
        tensors = {f"model.{name}": value for name, value in self.plain.state_dict().items()}
        for name, parameter in self.plain.named_parameters():
            for kind in ("exp_avg", "exp_avg_sq"):
                tensors[f"optimizer.{name}.{kind}"] = self.optimizer.state[parameter][kind]
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        return tensors | {f"best.{name}": value for name, value in self.best.items()}

    def load_state_tensors(self, step: int, best_score: float | None, tensors: dict[str, Tensor]) -> None:
        """Go on after `step` steps."""

        def part(kind: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(kind): tensor.to(self.device, copy=True)
                for name, tensor in tensors.items()
                if name.startswith(kind)
            }

        self.step, self.best_score = step, best_score
        self.plain.load_state_dict(part("model."))
        self.average, self.best = part("average."), part("best.")
        moments = part("optimizer.")
        for name, parameter in self.plain.named_parameters():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(step), device=self.device),  # where the fused optimiser keeps it
                "exp_avg": moments[f"{name}.exp_avg"],
                "exp_avg_sq": moments[f"{name}.exp_avg_sq"],
            }


def task_score(
    forward: Callable[..., tuple[Tensor, Tensor | None]],
    data: LabelledImages,
    task: Sequence[int],
    device: torch.device,
) -> float:
    """Mean score of the student on the images of the task's classes."""
    rows = torch.cat([data.rows_of_class(class_id) for class_id in task])
    labels = torch.arange(len(task)).repeat_interleave(data.counts[list(task)])
    classes, mask = (tensor.to(device) for tensor in pad_tasks([task]))
    total = 0.0
    for part, places in zip(rows.split(FORWARD_IMAGES), labels.split(FORWARD_IMAGES), strict=True):
        images = data.read(part).to(device)
        logits, _ = forward(images[None], classes, mask)
        total += float(data.objective.scores(logits[0], images, places.to(device)).sum())
    return total / len(rows)


def one_cycle(step: int, steps: int, warmup_fraction: float) -> float:
    """Share of the peak learning rate: linear warm-up, then a half cosine down to zero."""
    warmup = max(1, round(steps * warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))


def _decays(name: str) -> bool:
    """Weight decay is for matrices that start small; the residual basis and the chosen units start as they should."""
    return name.endswith("weight") and "encoder" not in name
