"""Training the teacher on the train split, and measuring it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from projpipe.atomic import write_atomically
from projpipe.config import ExtractTeacherConfig
from projpipe.errors import InputError
from projpipe.images.augmentation import recolour, sample_affine
from projpipe.images.dataset_card import SPLITS
from projpipe.record import from_json, to_json
from projpipe.teacher.data import TeacherData
from projpipe.teacher.logits import run_on
from projpipe.training.checkpoint import read_checkpoint, write_checkpoint
from projpipe.training.precision import computing_in
from projpipe.training.progress import progress_bar
from projpipe.training.run_inputs import source_code_digest
from projpipe.training.trainer import Schedule, Trainer

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

WARMUP_FRACTION, GRADIENT_CLIP = 0.1, 1.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images: its number, the mean loss, and the score on validation images after it."""

    epoch: int
    loss: float
    validation_score: float


def train_teacher(model: VisionTransformer, data: TeacherData, config: ExtractTeacherConfig, runs: Path) -> list[Epoch]:
    """Train a model in place on the images of the train split, and on no others.

    AdamW with warm-up and a half cosine, label smoothing, and a random affine map and colours of each image of each
    batch. A run that was stopped goes on after its last whole epoch, exactly as it would have; one that has ended is
    not done again.

    Args:
        runs: folder for the checkpoint, in the end that of the trained model.

    Returns:
        Every epoch. The model is left in eval mode, where the data go.

    Raises:
        InputError: the loss is no number any more, or the checkpoint cannot be read.
    """
    training, metric = config.training, data.objective.metric
    run = f"teacher-{_digest(model, data, config)}"
    model.to(data.device)
    steps = -(-len(data.image_ids("train")) // training.batch_size)
    trainer = _trainer(model, config, steps)
    history = _resume(trainer, runs / run, steps, training.epochs)
    with progress_bar("train teacher", training.epochs) as show:
        for epoch in range(len(history), training.epochs):
            loss = _train_epoch(trainer, data, config, epoch, steps)
            if not np.isfinite(loss):
                raise InputError(
                    f"extract_teacher.training.learning_rate: with {training.learning_rate:g} the loss is {loss} in "
                    f"epoch {epoch + 1}; lower it"
                )
            score = measure(model, data, "validation")
            history.append(Epoch(epoch + 1, loss, score))
            show(epoch + 1, f"epoch {epoch + 1}/{training.epochs}  loss {loss:.3f}  {metric.named(score)}")
            _save(trainer, runs / run, history, finished=epoch + 1 == training.epochs)
    model.eval()
    return history


def measure_splits(model: nn.Module, data: TeacherData) -> dict[str, float]:
    """Mean score of the model on every split's images, see `measure`; shows how far it is."""
    done, total = 0, sum(len(data.image_ids(split)) for split in SPLITS)
    with progress_bar("measure teacher", total) as show:

        def seen(count: int) -> None:
            nonlocal done
            done += count
            show(done, f"{done:,} of {total:,} images")

        return {split: measure(model, data, split, seen) for split in SPLITS}


def measure(model: nn.Module, data: TeacherData, split: str, seen: Callable[[int], None] = lambda count: None) -> float:
    """Mean score of the model on a split's images, in float32; leaves it in eval mode.

    `seen` is told the number of images of each batch.
    """
    objective = data.objective

    def scores(batch: Tensor, labels: Tensor) -> Tensor:
        found = objective.scores(objective.teacher_logits(model, batch, labels), batch, labels)
        seen(len(labels))
        return found

    return float(run_on(scores, model, data, data.image_ids(split)).mean())


def _trainer(model: VisionTransformer, config: ExtractTeacherConfig, steps: int) -> Trainer:
    """What trains a model for so many steps an epoch; its matrices decay, but for tokens and positions."""
    from timm.optim import param_groups_weight_decay

    training = config.training
    groups = param_groups_weight_decay(model, training.weight_decay, no_weight_decay_list=model.no_weight_decay())
    schedule = Schedule(training.epochs * steps, WARMUP_FRACTION, GRADIENT_CLIP, fused=False)
    return Trainer(model, [{**group, "lr": training.learning_rate} for group in groups], schedule)


def _train_epoch(trainer: Trainer, data: TeacherData, config: ExtractTeacherConfig, epoch: int, steps: int) -> float:
    """One pass over the training images; its draws depend on seed and epoch alone. Returns the mean loss."""
    training, ids = config.training, data.image_ids("train")
    seed = int(np.random.SeedSequence((config.seed, epoch)).generate_state(1, np.uint64)[0] >> 1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(ids), generator=generator).numpy()
    total = 0.0
    model = trainer.model.train()
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # for dropout, where the teacher's arguments ask for it
        for rows in np.array_split(order, steps):
            affine = None
            if config.augmentation.changes_images:
                affine = sample_affine(config.augmentation, len(rows), generator, data.aspect)
            batch, told = data.batch(ids[rows], affine)
            if config.augmentation.colour:
                batch = recolour(batch, config.augmentation.colour, generator)
            with computing_in(config.precision, data.device):
                loss = data.objective.training_loss(model, batch, told, training.label_smoothing, generator)
            loss.backward()
            trainer.update()
            total += loss.item() * len(rows)
    return total / len(ids)


def _digest(model: nn.Module, data: TeacherData, config: ExtractTeacherConfig) -> str:
    """Names a run by all that decides it."""
    init = save({name: tensor.cpu().contiguous() for name, tensor in sorted(model.state_dict().items())})
    decided_by = config.model_dump(mode="json", exclude={"loading_workers"})
    settings = json.dumps([decided_by, data.objective.to_json(), data.card.sha256]) + source_code_digest()
    return hashlib.sha256(init + settings.encode()).hexdigest()[:16]


def _save(trainer: Trainer, folder: Path, history: list[Epoch], finished: bool) -> None:
    """What it takes to go on, or the model alone where it is finished."""
    tensors = trainer.model_tensors() if finished else trainer.state_tensors()
    with write_atomically(folder) as temporary:
        temporary.mkdir()
        write_checkpoint(temporary, folder.name, {"history": [to_json(epoch) for epoch in history]}, tensors)


def _resume(trainer: Trainer, folder: Path, steps: int, epochs: int) -> list[Epoch]:
    """Go on where the checkpoint left off, if there is one; returns the epochs so far."""
    if not folder.exists():
        return []
    state, tensors = read_checkpoint(folder, folder.name)
    history = [from_json(Epoch, epoch) for epoch in state["history"]]
    if len(history) == epochs:
        trainer.load_model(tensors)
        logger.info("teacher: taken from the finished run %s", folder)
    else:
        trainer.load_state_tensors(len(history) * steps, tensors)
        logger.info("teacher: goes on after epoch %d, from %s", len(history), folder)
    return history
