"""Nodes that make the teacher, and read off it what the projection and the training of students start from."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from kedro.utils import find_kedro_project
from torch import Tensor, nn

from projpipe.config import ExtractTeacherConfig
from projpipe.images.streamed import Images
from projpipe.objectives import make_objective, objective_from_json
from projpipe.teacher import logits as teacher_logits
from projpipe.teacher import train as training
from projpipe.teacher.activations import activation_statistics
from projpipe.teacher.create import create_teacher
from projpipe.teacher.logits import rows_of
from projpipe.training.prefetch import Chunks, read_ahead
from projpipe.training.provenance import package_versions
from projpipe.transformer.canonical import canonical_weights

STATISTICS_IMAGES, STATISTICS_BATCH = 2048, 256


def choose_objective(
    images: Images, index: pd.DataFrame, dataset_card: dict[str, Any], config: ExtractTeacherConfig
) -> dict[str, Any]:
    """Decide what models learn, and how images become what they read, looking at the train split alone."""
    return make_objective(config, images, rows_of(index, "train"), dataset_card).to_json()


def train_teacher(
    images: Images,
    index: pd.DataFrame,
    dataset_card: dict[str, Any],
    objective: dict[str, Any],
    run_store: Path,
    config: ExtractTeacherConfig,
) -> tuple[nn.Module, dict[str, Any]]:
    """Make the teacher, train it on the train split, and measure it on every split."""
    device, learned = _device(), objective_from_json(objective)
    model = create_teacher(config, learned, dataset_card, find_kedro_project(Path.cwd()) or Path.cwd())
    training.train_teacher(model, images, index, dataset_card, learned, config, device, run_store)
    model.to(device)
    measure = partial(training.measure, model, images, index, learned, device)
    score = {split: round(measure(split, config.loading_workers), 6) for split in training.SPLITS}
    return model.cpu(), {
        "architecture": config.architecture,
        "arguments": learned.teacher_arguments(config, dataset_card)["arguments"],
        "weights": config.weights,
        "license": model.pretrained_cfg.get("license"),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "metric": learned.metric.name,
        "score": score,
        "dataset_sha256": dataset_card["sha256"],
        "data": {key: dataset_card[key] for key in ("name", "mean", "std", "image_size", "channels", "classes")},
        "training": config.model_dump(mode="json", include={"seed", "training", "augmentation"}),
        "versions": package_versions(),
    }


def fold_teacher(teacher: nn.Module) -> dict[str, Tensor]:
    """Fold normalisation gains and LayerScale into matrices: the canonical weights that are projected."""
    return canonical_weights(teacher)


def measure_activations(
    teacher: nn.Module,
    images: Images,
    index: pd.DataFrame,
    objective: dict[str, Any],
    config: ExtractTeacherConfig,
) -> dict[str, Tensor]:
    """Take the statistics of the teacher's activations on images of the train split, evenly spaced."""
    ids = teacher_logits.rows_of(index, "train")
    ids = ids[np.linspace(0, len(ids) - 1, min(len(ids), STATISTICS_IMAGES)).round().astype(int)]
    labels = torch.tensor(index["class_id"].to_numpy()[ids])
    device, learned = _device(), objective_from_json(objective)

    def forward(rows: Tensor, batch: Tensor) -> Tensor:
        return learned.teacher_logits(teacher, batch.to(device), labels[rows].to(device))

    teacher.to(device)
    chunks = Chunks(learned, images, ids, STATISTICS_BATCH)
    batches = read_ahead(chunks, range(len(chunks)), config.loading_workers, device)
    statistics = activation_statistics(teacher, (partial(forward, *batch) for batch in batches))
    teacher.cpu()
    return statistics


def cache_teacher_logits(
    teacher: nn.Module,
    images: Images,
    index: pd.DataFrame,
    dataset_card: dict[str, Any],
    objective: dict[str, Any],
    config: ExtractTeacherConfig,
) -> dict[str, Tensor]:
    """Store what the teacher says about several views of every training image, and how it scores test images."""
    device = _device()
    cached = teacher_logits.cache_teacher_logits(
        teacher.to(device),
        images,
        index,
        dataset_card,
        objective_from_json(objective),
        config,
        device,
    )
    teacher.cpu()
    return cached


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
