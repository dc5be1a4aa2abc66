"""What Optuna studies share: a journal that a stopped one goes on from, and the short run that a trial is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from projpipe.config import TrainProjectorConfig
from projpipe.errors import DivergenceError
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.methods.task_model import TaskModel
from projpipe.metric import Metric
from projpipe.training.history import HistoryRow, last_kept
from projpipe.training.run_inputs import load_staged
from projpipe.training.seeds import Worker, train_seeds
from projpipe.training.threads import use_threads

if TYPE_CHECKING:
    import optuna

JOURNAL = "journal.log"
Direction = Literal["maximize", "minimize"]


def open_study(name: str, folder: Path, directions: Sequence[Direction]) -> optuna.Study:
    """The study in a folder's journal; trials that were running when it was left are failed."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        directions=list(directions),
        load_if_exists=True,
    )
    for stale in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(stale.number, state=optuna.trial.TrialState.FAIL)
    return study


def direction(metric: Metric) -> Direction:
    """What Optuna calls the way to better scores."""
    return "maximize" if metric.higher_is_better else "minimize"


def finished_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that have their values, in the order in which they were asked for."""
    from optuna.trial import TrialState

    return sorted(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), key=lambda trial: trial.number)


def best_validation_score(
    folder: str, method: str, settings: dict[str, Any], learning_rate: float, device: torch.device
) -> float:
    """Train a method on staged inputs, and return its best validation score, were it to diverge afterwards.

    Args:
        folder: of the inputs, see `RunInputs.stage`.
        settings: of `train_projector`.
    """
    config = TrainProjectorConfig(**settings)
    use_threads(1)
    data, source = load_staged(Path(folder))
    history: list[HistoryRow] = []

    def make(seed: int) -> TaskModel:
        return build(method, Ingredients(source, config, seed))

    with suppress(DivergenceError):
        train_seeds(make, data, config, learning_rate, Worker(device=device), None, lambda _: None, history.append)
    return last_kept(history).validation_score
