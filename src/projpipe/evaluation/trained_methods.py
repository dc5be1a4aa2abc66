"""The methods that a run has trained, ready to make models."""

from __future__ import annotations

import pandas as pd
from torch import Tensor, nn

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.images.dataset_card import DatasetCard
from projpipe.methods.models import restore
from projpipe.methods.registry import main_methods
from projpipe.methods.task_model import TaskModel
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.tasks.task import class_ids_of, train_weights_of
from projpipe.training.provenance import tasks_sha256, tensors_sha256
from projpipe.transformer.spec import TransformerSpec

Methods = dict[str, dict[int, TaskModel]]  # by method and seed
# The names of the arguments of `restore_methods` among the project's data sets.
DATASETS = [
    "teacher",
    "source_weights",
    "source_statistics",
    "projector",
    "dataset_card",
    "tasks",
    "params:train_projector",
    *(f"{method}_models" for method in main_methods()),
]


def restore_methods(
    teacher: nn.Module,
    source_weights: dict[str, Tensor],
    source_statistics: dict[str, Tensor],
    projector: Projector,
    dataset_card: DatasetCard,
    tasks: pd.DataFrame,
    train_projector: TrainProjectorConfig,
    *models: dict[str, Tensor],
) -> Methods:
    """What makes the models of every method and seed: {method: {seed: TaskModel}}; `models` are of `main_methods`.

    The projector is of the same run and knows what made it: models of other parameters, of another teacher, or of
    other images or tasks, of which some that are judged now may have been trained on, are refused.
    """
    _check_same_run(projector, source_weights, dataset_card, tasks, train_projector)
    source = Source(TransformerSpec.of(teacher), source_weights, source_statistics)
    return {
        method: {seed: restore(method, trained, seed, source, train_projector) for seed in train_projector.seeds}
        for method, trained in zip(main_methods(), models, strict=True)
    }


def _check_same_run(
    projector: Projector,
    source_weights: dict[str, Tensor],
    dataset_card: DatasetCard,
    tasks: pd.DataFrame,
    config: TrainProjectorConfig,
) -> None:
    cluster, made = {"ray"}, projector.provenance
    trained = TrainProjectorConfig.model_validate(made["parameters"])
    if trained.model_dump(exclude=cluster) != config.model_dump(exclude=cluster):
        changed = "other parameters than train_projector has now"
    elif made["teacher_sha256"] != tensors_sha256(source_weights):
        changed = "another teacher than extract_teacher has left"
    elif made["dataset_sha256"] != dataset_card.sha256:
        changed = "other images, or another split of them, than split_tasks has left"
    elif made.get("train_tasks_sha256") != tasks_sha256(class_ids_of(tasks, "train"), train_weights_of(tasks)):
        changed = "other tasks than split_tasks has left"
    else:
        return
    raise InputError(
        f"projector: it and the models beside it were trained with {changed}; train them again with "
        "`kedro run --pipelines train_projector`, in the same environment"
    )
