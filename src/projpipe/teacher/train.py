"""Training the teacher on the train split, and measuring it."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from projpipe.atomic import write_atomically
from projpipe.config import ExtractTeacherConfig
from projpipe.errors import InputError
from projpipe.images.augmentation import sample_affine
from projpipe.teacher.data import TeacherData
from projpipe.teacher.logits import run_on
from projpipe.training.checkpoint import read_checkpoint, write_checkpoint
from projpipe.training.precision import computing_in
from projpipe.training.progress import progress_bar
from projpipe.training.run_inputs import source_code_digest
from projpipe.training.trainer import one_cycle

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

WARMUP_FRACTION, GRADIENT_CLIP = 0.1, 1.0
MOMENTS = ("exp_avg", "exp_avg_sq")
logger = logging.getLogger(__name__)


def train_teacher(
    model: VisionTransformer, data: TeacherData, config: ExtractTeacherConfig, runs: Path
) -> list[dict[str, float]]:
    """Train a model in place on the images of the train split, and on no others.

    AdamW with warm-up and a half cosine, label smoothing, and a random affine map of each image of each batch. A run
    that was stopped goes on after its last whole epoch, exactly as it would have; one that has ended is not done again.

    Args:
        runs: folder for the checkpoint, in the end that of the trained model.

    Returns:
        `epoch`, `loss` and `validation_score` of every epoch. The model is left in eval mode, where the data go.

    Raises:
        InputError: the loss is no number any more, or the checkpoint cannot be read.
    """
    training, metric = config.training, data.objective.metric
    run = f"teacher-{_digest(model, data, config)}"
    model.to(data.device)
    steps = -(-len(data.image_ids("train")) // training.batch_size)
    optimizer = torch.optim.AdamW(_parameter_groups(model, training.weight_decay), lr=training.learning_rate)
    history = _resume(model, optimizer, runs / run, steps, training.epochs)
    with progress_bar("train teacher", training.epochs) as show:
        for epoch in range(len(history), training.epochs):
            loss = _train_epoch(model, optimizer, data, config, epoch, steps)
            if not np.isfinite(loss):
                raise InputError(
                    f"extract_teacher.training.learning_rate: with {training.learning_rate:g} the loss is {loss} in "
                    f"epoch {epoch + 1}; lower it"
                )
            score = measure(model, data, "validation")
            history.append({"epoch": epoch + 1, "loss": loss, "validation_score": score})
            show(epoch + 1, f"epoch {epoch + 1}/{training.epochs}  loss {loss:.3f}  {metric.named(score)}")
            _save(model, optimizer if epoch + 1 < training.epochs else None, runs / run, history)
    model.eval()
    return history


def measure(model: nn.Module, data: TeacherData, split: str) -> float:
    """Mean score of the model on a split's images, in float32; leaves it in eval mode."""
    objective = data.objective

    def scores(batch: Tensor, labels: Tensor) -> Tensor:
        return objective.scores(objective.teacher_logits(model, batch, labels), batch, labels)

    return float(run_on(scores, model, data, data.image_ids(split)).mean())


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: TeacherData,
    config: ExtractTeacherConfig,
    epoch: int,
    steps: int,
) -> float:
    """One pass over the training images; its draws depend on seed and epoch alone. Returns the mean loss."""
    training, ids = config.training, data.image_ids("train")
    seed = int(np.random.SeedSequence((config.seed, epoch)).generate_state(1, np.uint64)[0] >> 1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(ids), generator=generator).numpy()
    total = 0.0
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # for dropout, where the teacher's arguments ask for it
        for step, rows in enumerate(np.array_split(order, steps)):
            affine = None
            if config.augmentation.changes_images:
                affine = sample_affine(config.augmentation, len(rows), generator, data.aspect)
            batch, told = data.batch(ids[rows], affine)
            with computing_in(config.precision, data.device):
                loss = data.objective.training_loss(model, batch, told, training.label_smoothing, generator)
            share = one_cycle(epoch * steps + step, training.epochs * steps, WARMUP_FRACTION)
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * share
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_CLIP)
            optimizer.step()
            total += loss.item() * len(rows)
    return total / len(ids)


def _parameter_groups(model: VisionTransformer, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices; none for biases, normalisations, tokens and positions."""
    kept = model.no_weight_decay()
    decayed = [p for name, p in model.named_parameters() if p.ndim > 1 and name not in kept]
    rest = [p for name, p in model.named_parameters() if p.ndim <= 1 or name in kept]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _digest(model: nn.Module, data: TeacherData, config: ExtractTeacherConfig) -> str:
    """Names a run by all that decides it."""
    start = save({name: tensor.cpu().contiguous() for name, tensor in sorted(model.state_dict().items())})
    decided_by = config.model_dump(mode="json", exclude={"loading_workers"})
    settings = json.dumps([decided_by, data.objective.to_json(), data.card.sha256]) + source_code_digest()
    return hashlib.sha256(start + settings.encode()).hexdigest()[:16]


def _save(
    model: nn.Module, optimizer: torch.optim.Optimizer | None, folder: Path, history: list[dict[str, float]]
) -> None:
    """What it takes to go on, or where there is no optimiser any more the model alone."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if optimizer is not None:
        for name, parameter in model.named_parameters():
            tensors |= {f"{moment}.{name}": optimizer.state[parameter][moment] for moment in MOMENTS}
    with write_atomically(folder) as temporary:
        temporary.mkdir()
        write_checkpoint(temporary, folder.name, {"history": history}, tensors)


def _resume(
    model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, steps: int, epochs: int
) -> list[dict[str, float]]:
    """Put model and optimiser where the checkpoint left them, if there is one; returns the history so far."""
    if not folder.exists():
        return []
    state, tensors = read_checkpoint(folder, folder.name)
    history = state["history"]
    model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
    if len(history) == epochs:
        logger.info("teacher: taken from the finished run %s", folder)
        return history
    for name, parameter in model.named_parameters():
        moments = {moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(float(len(history) * steps)), **moments}
    logger.info("teacher: goes on after epoch %d, from %s", len(history), folder)
    return history
