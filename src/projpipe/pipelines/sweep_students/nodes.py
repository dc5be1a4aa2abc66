"""Nodes that sweep student sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure
from torch import Tensor, nn

from projpipe.config import SweepStudentsConfig, TrainProjectorConfig
from projpipe.reporting.figures import pareto_figure
from projpipe.training.gather import gather_run_inputs
from projpipe.training.run_inputs import RunInputs
from projpipe.training.sweep import run_sweep


def gather_sweep_inputs(
    images: np.ndarray,
    index: pd.DataFrame,
    tasks: pd.DataFrame,
    dataset_card: dict[str, Any],
    teacher: nn.Module,
    source_weights: dict[str, Tensor],
    source_statistics: dict[str, Tensor],
    teacher_logits: dict[str, Tensor],
    projector_config: TrainProjectorConfig,
    config: SweepStudentsConfig,
) -> RunInputs:
    """Bring together what every trial trains on: the projector's own recipe, one seed, fewer steps."""
    schedule = projector_config.optimisation.model_copy(update={"steps": config.steps})
    trial_config = projector_config.model_copy(update={"optimisation": schedule, "seeds": (config.seed,)})
    return gather_run_inputs(
        images,
        index,
        tasks,
        dataset_card,
        teacher,
        source_weights,
        source_statistics,
        teacher_logits,
        trial_config,
    )


def sweep(sweep_inputs: RunInputs, config: SweepStudentsConfig, run_store: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let Optuna propose student sizes, train each as a Ray task, and keep the Pareto front."""
    trials = pd.DataFrame(run_sweep(sweep_inputs, config, run_store))
    front = trials[trials["pareto"]].sort_values("params", ignore_index=True)
    return trials, front


def draw_pareto_front(trials: pd.DataFrame) -> Figure:
    """Draw validation accuracy against deployed parameters."""
    return pareto_figure(trials)
