"""Nodes that sweep student sizes."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
from plotly.graph_objects import Figure

from projpipe.config import SweepStudentsConfig
from projpipe.experiments.rates import with_learning_rates
from projpipe.experiments.sweep import run_sweep
from projpipe.methods.projected import PROJECTED
from projpipe.reporting.figures import pareto_figure
from projpipe.training.run_inputs import RunInputs


def sweep(sweep_inputs: RunInputs, config: SweepStudentsConfig, run_store: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let Optuna propose student sizes, train each as a Ray task, and keep the Pareto front.

    Every trial follows the projector's own recipe, with one seed and fewer steps.
    """
    found, _ = with_learning_rates(sweep_inputs, [PROJECTED.name], run_store)
    recipe = found.config
    schedule = recipe.optimisation.model_copy(update={"steps": config.steps})
    trial = replace(found, config=recipe.model_copy(update={"optimisation": schedule, "seeds": (config.seed,)}))
    trials = pd.DataFrame(run_sweep(trial, config, run_store))
    front = trials[trials["pareto"]].sort_values("params", ignore_index=True)
    return trials, front


def draw_pareto_front(sweep_inputs: RunInputs, trials: pd.DataFrame) -> Figure:
    """Draw validation score against deployed parameters."""
    return pareto_figure(trials, sweep_inputs.objective.metric)
