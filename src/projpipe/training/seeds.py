"""A training run: every seed of one method, one after another, stopped and resumed at any checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from projpipe.config import TrainProjectorConfig
from projpipe.methods.task_model import TaskModel
from projpipe.tasks.task import classes_in
from projpipe.tensors import prefixed
from projpipe.training.batches import StepBatches, TrainingData
from projpipe.training.history import HistoryRow
from projpipe.training.prefetch import prefetch
from projpipe.training.state import Checkpoint, TrainingState
from projpipe.training.student_trainer import StudentTrainer

SOURCE_IMAGES = 32  # of a step, for the own objective of a source that is tuned
FINISHED = "finished."  # what tensors of the models of finished seeds start with


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together: its rank, its device, and how it wraps a model for its peers."""

    rank: int = 0
    workers: int = 1
    device: torch.device = torch.device("cpu")
    wrap: Callable[[nn.Module], nn.Module] = nn.Identity()


def train_seeds(
    make: Callable[[int], TaskModel],
    data: TrainingData,
    config: TrainProjectorConfig,
    learning_rate: float,
    worker: Worker,
    resume: Checkpoint | None,
    save: Callable[[Checkpoint], None],
    progress: Callable[[HistoryRow], None],
) -> None:
    """Train one method with every seed of the config.

    The model kept for a seed is the moving average at the best score on the validation tasks.

    Args:
        make: gives the untrained method, for a seed.
        learning_rate: the peak of the schedule.
        resume: the last checkpoint of this run, or None at its start.
        save: called by every worker, equally often; only on rank 0 are there tensors. Its last call holds the finished
            models as `finished.<seed>.<name>`, and the history.
        progress: called on rank 0 after every validation.
    """
    resume = resume or Checkpoint()
    reached, history = resume.state, list(resume.state.history)
    finished = {name: tensor for name, tensor in resume.tensors.items() if name.startswith(FINISHED)}
    schedule, rank_0 = config.optimisation, worker.rank == 0
    known = torch.tensor(sorted(classes_in(data.train_tasks)))
    for position, seed in enumerate(config.seeds):
        if position < reached.position:
            continue
        model = make(seed).to(worker.device)
        trainer = StudentTrainer(model, worker.wrap, data.objective, schedule, learning_rate)
        if position == reached.position and reached.step:
            trainer.load_state_tensors(reached.step, reached.best_score, resume.tensors)
            trainer.source_score = next((row.source_score for row in history if row.seed == seed), None)

        def judge(trainer: StudentTrainer = trainer, seed: int = seed, loss: float | None = None) -> None:
            judgement = trainer.judge(data.validation, data.validation_tasks, known)
            row = HistoryRow(seed, trainer.step, loss, **vars(judgement))
            history.append(row)
            progress(row)

        if rank_0 and trainer.step == 0:
            judge()
        share, source_images = slice(worker.rank, None, worker.workers), SOURCE_IMAGES if model.tunes_source else 0
        batches = StepBatches(data, schedule, seed, share, source_images)
        steps = range(trainer.step, schedule.steps)
        for batch in prefetch(batches, steps, config.ray.loading_workers, worker.device):
            sizes = model.sizes.sandwich((seed, trainer.step)) if model.sizes else ()
            loss = trainer.train_step(batch.to(worker.device), sizes)
            last = trainer.step == schedule.steps
            if rank_0 and (last or trainer.step % schedule.validate_every == 0):
                judge(loss=loss)
            if not last and trainer.step % schedule.checkpoint_every == 0:
                state = TrainingState(position, trainer.step, trainer.best_score, tuple(history))
                save(Checkpoint(state, {**finished, **trainer.state_tensors()} if rank_0 else {}))
        finished |= prefixed(f"{FINISHED}{seed}.", trainer.best)
        save(Checkpoint(TrainingState(position + 1, history=tuple(history)), finished))
