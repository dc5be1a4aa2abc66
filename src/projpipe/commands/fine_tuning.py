"""Fine-tuning of a small model on labelled pictures, with or without its teacher."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projpipe.commands.classify import BATCH_SIZE, find_device, labelled_pictures, read_or_error
from projpipe.commands.output import progress
from projpipe.errors import DivergenceError, InputError
from projpipe.images.augmentation import affine_matrices
from projpipe.objectives.classification import OWN_KEPT
from projpipe.objectives.distillation import distilled
from projpipe.projection.projector_folder import load_projector
from projpipe.students.stopwatch import fixed_threads, seconds
from projpipe.students.student import Student
from projpipe.training.trainer import Schedule, Trainer
from projpipe.transformer.export import from_timm_state, norm_names

Teacher = Callable[[Tensor], Tensor]  # encoded images to its logits of the model's classes
WEIGHT_DECAY, WARMUP_FRACTION, GRADIENT_CLIP, EMA_DECAY = 0.01, 0.1, 1.0, 0.98
DISTILLATION_WEIGHT, TEMPERATURE = 0.5, 2.0
ROTATION, SCALE, SHIFT = 5.0, 0.1, 0.05  # most that images are changed by: degrees, and shares
JUDGED = 10  # times, evenly over the steps
TIMED = 5  # steps, to see how many fit


@dataclass(frozen=True)
class FineTuning:
    """How a model is fine-tuned.

    Args:
        steps: of `BATCH_SIZE` images each; None for as many as `seconds` allow.
        learning_rate: at its peak.
        validation: share of each class's images that is held out.
        seed: fixes the split, the order and the changes of images.
        threads: that compute it; their number decides the last digits.
    """

    steps: int | None
    seconds: float
    learning_rate: float
    validation: float
    seed: int
    threads: int


@dataclass(frozen=True)
class Outcome:
    """What came of it: a model's accuracy on held-out images before and after, and the step that was kept."""

    images: int
    held_out: int
    accuracy: dict[str, float]
    steps: int
    kept_step: int
    distilled: bool


@dataclass(frozen=True)
class LabelledImages:
    """Encoded images as a model reads them, and the positions of their classes `[N]`."""

    student: Student
    pictures: np.ndarray
    labels: Tensor

    def batch(self, rows: Tensor, affine: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images `[N, C, H, W]` and labels `[N]`, where the model's weights are."""
        device = self.student.weights["pos"].device
        images = self.student.objective.encode(self.pictures[rows.numpy()], affine)
        return images.to(device), self.labels[rows].to(device)


def read_labelled(student: Student, folder: Path, strict: bool) -> tuple[LabelledImages, int, list[str]]:
    """The pictures of a model's classes in a folder, how many there are of others, and why some cannot be read.

    Raises:
        InputError: a class has fewer than two, or with `strict` a picture cannot be read.
    """
    known, left_out = labelled_pictures(folder, student.classes)
    read = [(read_or_error(student, path, strict), class_id) for path, class_id in known]
    pictures = [picture for picture, _ in read if isinstance(picture, np.ndarray)]
    labels = torch.tensor([class_id for picture, class_id in read if isinstance(picture, np.ndarray)], dtype=torch.long)
    counts = labels.bincount(minlength=len(student.classes))
    if (fewest := int(counts.min())) < 2:
        name = student.classes[int(counts.argmin())]
        raise InputError(
            f"{folder}: {fewest} readable picture{'s' * (fewest != 1)} of {name!r}, which the model would forget; give "
            "two or more of each of its classes"
        )
    unreadable = [str(picture) for picture, _ in read if isinstance(picture, InputError)]
    return LabelledImages(student, np.stack(pictures), labels), left_out, unreadable


def fine_tune(data: LabelledImages, asked: FineTuning, teacher: Teacher | None) -> tuple[Student, Outcome]:
    """The model that is best on held-out images, of the start and the moving average at some steps.

    AdamW with warm-up and a half cosine; images are turned, scaled and shifted a little.

    Raises:
        DivergenceError: the loss is no number any more.
    """
    train, held_out = split(data.labels, asked.validation, asked.seed)
    with fixed_threads(asked.threads):
        steps = asked.steps or _steps_within(data, train, asked, teacher)
        trainer = _trainer(data.student, asked, steps)
        start = kept = _judge(trainer.model, data, held_out, teacher)
        kept_step, weights = 0, data.student.weights
        generator = torch.Generator().manual_seed(asked.seed)
        with progress(range(1, steps + 1), "finetune") as shown:
            for step in shown:
                _train_step(trainer, data, train, teacher, generator)
                if step % math.ceil(steps / JUDGED) and step != steps:
                    continue
                assert trainer.average is not None
                if (score := _judge(trainer.average, data, held_out, teacher)) > kept:
                    kept, kept_step = score, step
                    state = {name: tensor.clone() for name, tensor in trainer.average.state_dict().items()}
                    weights = from_timm_state(data.student.spec, state)
    accuracy = {"before": round(start[0], 6), "after": round(kept[0], 6)}
    outcome = Outcome(len(train), len(held_out), accuracy, steps, kept_step, teacher is not None)
    if not kept_step:
        return replace(data.student, weights={name: tensor.cpu() for name, tensor in weights.items()}), outcome
    how = {"learning_rate": asked.learning_rate, "seed": asked.seed, "threads": asked.threads}
    made_by = {name: value for name, value in data.student.provenance.items() if name != "validation_score"}
    tuned = replace(data.student, weights=weights, provenance={**made_by, "fine_tuned": {**asdict(outcome), **how}})
    if tuned.energy_threshold is not None:  # that was of other weights
        scores = torch.cat([tuned.answers(data.batch(rows)[0])[1] for rows in held_out.split(BATCH_SIZE)])
        tuned = replace(tuned, energy_threshold=round(scores.quantile(1 - OWN_KEPT).item(), 4))
    return replace(tuned, weights={name: tensor.cpu() for name, tensor in weights.items()}), outcome


def split(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Positions of images to learn from, and of those held out: this share of each class, at least one of either."""
    generator = torch.Generator().manual_seed(seed)
    train, held_out = [], []
    for class_id in labels.unique():
        ids = (labels == class_id).nonzero()[:, 0]
        ids = ids[torch.randperm(len(ids), generator=generator)]
        count = min(max(1, round(share * len(ids))), len(ids) - 1)
        held_out.append(ids[:count])
        train.append(ids[count:])
    return torch.cat(train), torch.cat(held_out)


def teacher_of(folder: Path, student: Student, device: str) -> Teacher:
    """The teacher that a projector's folder holds, masked to a model's classes.

    Raises:
        InputError: the folder is no projector, or its teacher reads other images or lacks a class.
    """
    projector, place = load_projector(folder), find_device(device)
    if projector.of_pictures != student.objective:
        raise InputError(f"--projector: {folder} reads other images than this model; give the one that made it")
    return projector.teacher(student.classes, place)


def _trainer(student: Student, asked: FineTuning, steps: int) -> Trainer:
    """What trains a copy of a model; its normalisations, of which a model's folder knows nothing, stay as they are."""
    from timm.optim import param_groups_weight_decay

    model = student.to_timm().to(student.weights["pos"].device)
    fixed = {f"{norm}.{part}" for norm in norm_names(student.spec) for part in ("weight", "bias")}
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name not in fixed
    groups = param_groups_weight_decay(model, WEIGHT_DECAY, no_weight_decay_list=model.no_weight_decay())
    schedule = Schedule(steps, WARMUP_FRACTION, GRADIENT_CLIP, EMA_DECAY)
    return Trainer(model, [{**group, "lr": asked.learning_rate} for group in groups], schedule)


def _train_step(
    trainer: Trainer, data: LabelledImages, train: Tensor, teacher: Teacher | None, generator: torch.Generator
) -> None:
    """One step on images that are drawn from those to learn from."""
    rows = train[torch.randint(len(train), (BATCH_SIZE,), generator=generator)]
    rotation, scale, right, down = 2 * torch.rand(4, len(rows), generator=generator) - 1
    height, width = data.student.spec.image_size
    shift = SHIFT * torch.stack([right, down], -1)
    affine = affine_matrices(ROTATION * rotation, torch.zeros_like(scale), 1 + SCALE * scale, shift, width / height)
    images, labels = data.batch(rows, affine)
    loss = _loss(trainer.model(images), images, labels, teacher)
    if not math.isfinite(reached := loss.item()):
        rate = trainer.optimizer.param_groups[0]["initial_lr"]
        raise DivergenceError(f"--learning-rate: the loss is {reached} in step {trainer.step + 1}; lower it, {rate:g}")
    loss.backward()
    trainer.update()


def _loss(logits: Tensor, images: Tensor, labels: Tensor, teacher: Teacher | None) -> Tensor:
    """Cross-entropy on labels, mixed with distillation where there is a teacher."""
    loss = F.cross_entropy(logits, labels)
    if teacher is None:
        return loss
    return (1 - DISTILLATION_WEIGHT) * loss + DISTILLATION_WEIGHT * distilled(logits, teacher(images), TEMPERATURE)


@torch.no_grad()
def _judge(model: nn.Module, data: LabelledImages, rows: Tensor, teacher: Teacher | None) -> tuple[float, float]:
    """A model's accuracy on images, and minus its loss, which decides between equals."""
    right, loss = 0, 0.0
    for some in rows.split(BATCH_SIZE):
        images, labels = data.batch(some)
        logits = model(images)
        right += int((logits.argmax(-1) == labels).sum())
        loss += len(some) * _loss(logits, images, labels, teacher).item()
    return right / len(rows), -loss / len(rows)


def _steps_within(data: LabelledImages, train: Tensor, asked: FineTuning, teacher: Teacher | None) -> int:
    """How many steps take the time that is asked for, by some that are thrown away."""
    trial, generator = _trainer(data.student, asked, TIMED + 1), torch.Generator().manual_seed(asked.seed)
    _train_step(trial, data, train, teacher, generator)
    taken = [seconds(lambda: _train_step(trial, data, train, teacher, generator)) for _ in range(TIMED)]
    return max(1, int(asked.seconds / (sum(taken) / TIMED)))
