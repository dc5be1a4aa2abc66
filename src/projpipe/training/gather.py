"""From the project's data sets to the inputs of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from projpipe.config import TrainProjectorConfig
from projpipe.projection.source import Source
from projpipe.tasks.classes import class_of_image
from projpipe.tasks.task import class_ids_of
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.spec import TransformerSpec

# The names of the arguments of `gather_run_inputs` among the project's data sets.
DATASETS = (
    "images",
    "index",
    "tasks",
    "dataset_card",
    "teacher",
    "source_weights",
    "source_statistics",
    "teacher_logits",
)


def gather_run_inputs(
    images: np.ndarray,
    index: pd.DataFrame,
    tasks: pd.DataFrame,
    dataset_card: dict[str, Any],
    teacher: nn.Module,
    source_weights: dict[str, Tensor],
    source_statistics: dict[str, Tensor],
    teacher_logits: dict[str, Tensor],
    config: TrainProjectorConfig,
) -> RunInputs:
    """Bring together all that decides what training makes; its hash names the run."""
    return RunInputs(
        config=config,
        source=Source(TransformerSpec.of(teacher), source_weights, source_statistics),
        logits=teacher_logits,
        labels=class_of_image(index),
        train_tasks=class_ids_of(tasks, "train"),
        validation_tasks=class_ids_of(tasks, "validation"),
        mean=dataset_card["mean"],
        std=dataset_card["std"],
        images=images,
        images_sha256=dataset_card["sha256"],
    )
