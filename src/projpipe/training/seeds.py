"""A training run: every seed of one method, one after another, stopped and resumed at any checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from projpipe.config import TrainProjectorConfig
from projpipe.methods.task_model import TaskModel
from projpipe.training.batches import StepBatches
from projpipe.training.prefetch import read_ahead
from projpipe.training.trainer import Trainer, TrainingData

SOURCE_IMAGES = 32  # of a step, for the own objective of a source that is tuned
Checkpoint = tuple[dict[str, Any], dict[str, Tensor]]


@dataclass(frozen=True)
class Place:
    """Where a worker runs: its rank among the workers, its device, and how it wraps a model for its peers."""

    rank: int = 0
    workers: int = 1
    device: torch.device = torch.device("cpu")
    wrap: Callable[[nn.Module], nn.Module] = nn.Identity()


def train_seeds(
    make: Callable[[int], TaskModel],
    data: TrainingData,
    config: TrainProjectorConfig,
    learning_rate: float,
    place: Place,
    resume: Checkpoint | None,
    save: Callable[[dict[str, Any], dict[str, Tensor]], None],
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """Train one method with every seed of the config.

    The model kept for a seed is the moving average at the best score on the validation tasks.

    Args:
        make: gives the method at its start, for a seed.
        learning_rate: the peak of the schedule.
        resume: the last checkpoint of this run, or None at its start.
        save: called by every worker, equally often, with the state and, on rank 0, all tensors. Its last call holds
            the finished models as `finished.<seed>.<name>`, and the history.
        progress: called on rank 0 after every validation, with a row of the history and the number of steps done.
    """
    state, tensors = resume or ({"seed": 0, "step": 0, "history": [], "best_score": None}, {})
    history: list[dict[str, Any]] = list(state["history"])
    finished = {name: tensor for name, tensor in tensors.items() if name.startswith("finished.")}
    schedule = config.optimisation
    rank_0 = place.rank == 0

    for position, seed in enumerate(config.seeds):
        if position < state["seed"]:
            continue
        model = make(seed).to(place.device)
        trainer = Trainer(place.wrap(model), model, data.objective, schedule, learning_rate)
        if position == state["seed"] and state["step"]:
            trainer.load_state_tensors(state["step"], state["best_score"], tensors)
            trainer.source_score = next((row["source_score"] for row in history if row["seed"] == seed), None)

        def judge(trainer: Trainer = trainer, seed: int = seed, loss: float | None = None) -> None:
            scores = trainer.judge(data.validation, data.validation_tasks)
            row = {"seed": seed, "step": trainer.step, "loss": loss, **scores}
            history.append(row)
            progress(row)

        if rank_0 and trainer.step == 0:
            judge()
        share, source_images = slice(place.rank, None, place.workers), SOURCE_IMAGES if model.tunes_source else 0
        batches = StepBatches(data.train, data.train_tasks, schedule, seed, share, source_images)
        steps = range(trainer.step, schedule.steps)
        for batch in read_ahead(batches, steps, config.ray.loading_workers, place.device):
            loss = trainer.train_step(batch.to(place.device))
            last = trainer.step == schedule.steps
            if rank_0 and (last or trainer.step % schedule.validate_every == 0):
                judge(loss=loss)
            if not last and trainer.step % schedule.checkpoint_every == 0:
                reached = {"seed": position, "step": trainer.step, "best_score": trainer.best_score}
                save({**reached, "history": list(history)}, {**finished, **trainer.state_tensors()} if rank_0 else {})
        finished |= {f"finished.{seed}.{name}": tensor for name, tensor in trainer.best.items()}
        save({"seed": position + 1, "step": 0, "best_score": None, "history": list(history)}, finished)
