"""Nodes that make the teacher, and read off it what the projection and the training of students start from."""

from pathlib import Path

import pandas as pd
import torch
from kedro.utils import find_kedro_project
from torch import Tensor, nn

from projpipe.config import ExtractTeacherConfig
from projpipe.images.dataset_card import DatasetCard
from projpipe.images.streamed import Images
from projpipe.objectives import Objective, make_objective
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.teacher import activations, logits
from projpipe.teacher import train as training
from projpipe.teacher.create import create_teacher
from projpipe.teacher.data import TeacherData, rows_of
from projpipe.teacher.describe import describe_teacher
from projpipe.transformer.canonical import canonical_weights


def choose_objective(
    images: Images, index: pd.DataFrame, dataset_card: DatasetCard, config: ExtractTeacherConfig
) -> Objective:
    """Decide what models learn, and how images become what they read, looking at the train split alone."""
    return make_objective(config, images, rows_of(index, "train"), dataset_card)


def train_teacher(
    images: Images,
    index: pd.DataFrame,
    dataset_card: DatasetCard,
    objective: Objective,
    run_store: Path,
    config: ExtractTeacherConfig,
) -> tuple[nn.Module, TeacherCard]:
    """Make the teacher, train it on the train split, and measure it on every split."""
    data = TeacherData(images, index, dataset_card, objective, _device(), config.loading_workers)
    model = create_teacher(config, objective, dataset_card, find_kedro_project(Path.cwd()) or Path.cwd())
    training.train_teacher(model, data, config, run_store)
    score = training.measure_splits(model, data)
    return model.cpu(), describe_teacher(model, data, config, score)


def fold_teacher(teacher: nn.Module) -> dict[str, Tensor]:
    """Fold normalisation gains and LayerScale into matrices: the canonical weights that are projected."""
    return canonical_weights(teacher)


def measure_activations(
    teacher: nn.Module,
    images: Images,
    index: pd.DataFrame,
    dataset_card: DatasetCard,
    objective: Objective,
    config: ExtractTeacherConfig,
) -> dict[str, Tensor]:
    """Take the statistics of the teacher's activations on images of the train split, evenly spaced."""
    data = TeacherData(images, index, dataset_card, objective, _device(), config.loading_workers)
    statistics = activations.measure_activations(teacher.to(data.device), data)
    teacher.cpu()
    return statistics


def cache_teacher_logits(
    teacher: nn.Module,
    images: Images,
    index: pd.DataFrame,
    dataset_card: DatasetCard,
    objective: Objective,
    config: ExtractTeacherConfig,
) -> TeacherLogits:
    """Store what the teacher says about several views of every training image, and how it scores test images."""
    data = TeacherData(images, index, dataset_card, objective, _device(), config.loading_workers)
    cached = logits.cache_teacher_logits(teacher.to(data.device), data, config)
    teacher.cpu()
    return cached


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
