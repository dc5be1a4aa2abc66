"""Nodes that make the teacher, and read off it what the projection and the training of students start from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from kedro.utils import find_kedro_project
from torch import Tensor, nn

from projpipe.config import ExtractTeacherConfig
from projpipe.images.normalisation import normalise
from projpipe.training import teacher as training
from projpipe.training import teacher_logits
from projpipe.training.provenance import package_versions
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.statistics import activation_statistics
from projpipe.transformer.teacher import create_teacher

STATISTICS_IMAGES, STATISTICS_BATCH = 2048, 256


def train_teacher(
    images: np.ndarray, index: pd.DataFrame, dataset_card: dict[str, Any], run_store: Path, config: ExtractTeacherConfig
) -> tuple[nn.Module, dict[str, Any]]:
    """Make the teacher, train it on the train split, and measure it on every split."""
    device = _device()
    model = create_teacher(config, dataset_card, find_kedro_project(Path.cwd()) or Path.cwd())
    training.train_teacher(model, images, index, dataset_card, config, device, run_store)
    model.to(device)
    accuracy = {
        split: round(training.measure(model, images, index, dataset_card, device, split), 6)
        for split in training.SPLITS
    }
    return model.cpu(), {
        "architecture": config.architecture,
        "arguments": dict(config.arguments),
        "weights": config.weights,
        "license": model.pretrained_cfg.get("license"),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "accuracy": accuracy,
        "data": {key: dataset_card[key] for key in ("name", "mean", "std", "image_size", "channels", "classes")},
        "training": config.model_dump(mode="json", include={"seed", "training", "augmentation"}),
        "versions": package_versions(),
    }


def fold_teacher(teacher: nn.Module) -> dict[str, Tensor]:
    """Fold normalisation gains and LayerScale into matrices: the canonical weights that are projected."""
    return canonical_weights(teacher)


def measure_activations(
    teacher: nn.Module, images: np.ndarray, index: pd.DataFrame, dataset_card: dict[str, Any]
) -> dict[str, Tensor]:
    """Take the statistics of the teacher's activations on images of the train split, evenly spaced."""
    ids = teacher_logits.rows_of(index, "train")
    ids = ids[np.linspace(0, len(ids) - 1, min(len(ids), STATISTICS_IMAGES)).round().astype(int)]
    device = _device()
    batches = (
        normalise(images[ids[start : start + STATISTICS_BATCH]], dataset_card["mean"], dataset_card["std"]).to(device)
        for start in range(0, len(ids), STATISTICS_BATCH)
    )
    statistics = activation_statistics(teacher.to(device), batches)
    teacher.cpu()
    return statistics


def cache_teacher_logits(
    teacher: nn.Module,
    images: np.ndarray,
    index: pd.DataFrame,
    dataset_card: dict[str, Any],
    config: ExtractTeacherConfig,
) -> dict[str, Tensor]:
    """Store what the teacher says about several views of every training image, and about all other images."""
    device = _device()
    cached = teacher_logits.cache_teacher_logits(
        teacher.to(device), images, index, dataset_card, config.augmentation, config.seed, device
    )
    teacher.cpu()
    return cached


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
