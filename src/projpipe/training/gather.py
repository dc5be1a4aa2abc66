"""From the project's data sets to the inputs of a run."""

from __future__ import annotations

import pandas as pd
from torch import Tensor, nn

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.images.dataset_card import DatasetCard
from projpipe.images.streamed import Images
from projpipe.methods.registry import check_rates_and_schedules
from projpipe.objectives import Objective
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.projection.source import Source
from projpipe.tasks.classes import class_of_image
from projpipe.tasks.task import class_ids_of, train_weights_of
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.spec import TransformerSpec

# The names of the arguments of `gather_run_inputs` among the project's data sets.
DATASETS = (
    "images",
    "index",
    "tasks",
    "dataset_card",
    "objective",
    "teacher",
    "teacher_card",
    "source_weights",
    "source_statistics",
    "teacher_logits",
)


def gather_run_inputs(
    images: Images,
    index: pd.DataFrame,
    tasks: pd.DataFrame,
    dataset_card: DatasetCard,
    objective: Objective,
    teacher: nn.Module,
    teacher_card: TeacherCard,
    source_weights: dict[str, Tensor],
    source_statistics: dict[str, Tensor],
    teacher_logits: TeacherLogits,
    config: TrainProjectorConfig,
) -> RunInputs:
    """Bring together all that decides what training makes; its hash names the run.

    Raises:
        InputError: a task has fewer classes than the objective is for, the teacher is of other images, or a learning
            rate is missing or of no method.
    """
    if teacher_card.dataset_sha256 != dataset_card.sha256:
        raise InputError(
            "teacher: its card does not say that it was made from the images, and the split of them, that split_tasks "
            "has left; make it anew with `kedro run --pipelines extract_teacher`, in the same environment"
        )
    check_tasks(objective, tasks)
    check_rates_and_schedules(config)
    return RunInputs(
        config=config,
        objective=objective,
        source=Source(TransformerSpec.of(teacher), source_weights, source_statistics),
        logits=teacher_logits,
        labels=class_of_image(index),
        train_tasks=class_ids_of(tasks, "train"),
        validation_tasks=class_ids_of(tasks, "validation"),
        images=images,
        images_sha256=dataset_card.sha256,
        new_class_validation_tasks=class_ids_of(tasks, "validation_new_class"),
        train_weights=train_weights_of(tasks),
    )


def check_tasks(objective: Objective, tasks: pd.DataFrame) -> None:
    """Refuse tasks that are none under an objective.

    Raises:
        InputError: names a task with too few classes.
    """
    small = tasks[tasks["class_ids"].map(len) < objective.fewest_classes]
    if len(small):
        raise InputError(
            f"split_tasks.tasks: {small['name'].iloc[0]!r} has fewer than the {objective.fewest_classes} classes that "
            f"{objective.name} needs; raise classes_per_task, or name more classes"
        )
