"""Nodes that train the projector and the two models it is compared with."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from projpipe.config import MethodSchedule, TrainProjectorConfig
from projpipe.experiments.rates import with_learning_rates
from projpipe.images.dataset_card import DatasetCard
from projpipe.methods.models import restore
from projpipe.methods.projected import PROJECTED
from projpipe.methods.registry import METHODS, main_methods
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.projection.projector import Projector
from projpipe.tasks.task import classes_in
from projpipe.training.provenance import package_versions, tasks_sha256, tensors_sha256
from projpipe.training.ray_train import train_method
from projpipe.training.run_inputs import RunInputs

Trained = tuple[dict[str, Tensor], pd.DataFrame]
# What a projector's folder says of its data and of its teacher, in this order.
OF_DATA = ("name", "classes", "groups", "inverted", "image_size", "channels")
OF_TEACHER = ("architecture", "arguments", "params", "metric", "score", "license")


def trainer_of(method: str) -> Callable[[RunInputs, Path], Trained]:
    """A node's function that trains a method."""

    def train(run_inputs: RunInputs, run_store: Path) -> Trained:
        return _train(method, run_inputs, run_store)

    train.__name__ = f"train_{method}"
    train.__doc__ = f"Train on Ray, once for each seed: {METHODS[method].style.title.lower()}."
    return train


def choose_learning_rates(gathered_inputs: RunInputs, run_store: Path) -> tuple[RunInputs, dict[str, object]]:
    """Take the learning rates as they are given, or find them by short runs where they are `auto`."""
    return with_learning_rates(gathered_inputs, main_methods(), run_store)


def _train(method: str, run_inputs: RunInputs, run_store: Path) -> Trained:
    models, history = train_method(method, run_inputs, run_store)
    rows = pd.DataFrame(history).astype({"loss": "float64", "source_score": "float64"})
    rows.insert(0, "method", method)
    return models, rows


def assemble_projector(
    run_inputs: RunInputs,
    models: dict[str, Tensor],
    history: pd.DataFrame,
    dataset_card: DatasetCard,
    teacher_card: TeacherCard,
    config: TrainProjectorConfig,
) -> Projector:
    """Make the projector folder from the seed that was best on the validation tasks."""
    metric = run_inputs.objective.metric
    best = metric.best(history[history["kept"]].to_dict("records"), lambda row: row["validation_score"])
    seed = int(best["seed"])
    schedule = run_inputs.config.schedules.get(PROJECTED.name, MethodSchedule())
    model = restore(PROJECTED.name, models, seed, run_inputs.source, config)
    trained_on = classes_in(run_inputs.train_tasks)
    new = [name for class_id, name in enumerate(dataset_card.classes) if class_id not in trained_on]
    return Projector(
        operator=model.projector,
        objective=run_inputs.objective,
        data={**_picked(dataset_card, OF_DATA), "held_out_classes": new},
        provenance={
            "teacher": _picked(teacher_card, OF_TEACHER),
            "teacher_sha256": tensors_sha256(run_inputs.source.weights),
            "dataset_sha256": dataset_card.sha256,
            "train_tasks_sha256": tasks_sha256(run_inputs.train_tasks, run_inputs.train_weights),
            "parameters": config.model_dump(mode="json"),
            "learning_rate": run_inputs.config.known_rates[PROJECTED.name],
            "schedule": schedule.model_dump(exclude_none=True),
            "seed": seed,
            "validation_score": round(float(best["validation_score"]), 6),
            **_tuned_source(history[history["seed"] == seed], best),
            "versions": package_versions(),
        },
        of_sizes=model.of_sizes,
    )


def _picked(card: DatasetCard | TeacherCard, keys: Sequence[str]) -> dict[str, object]:
    """A part of a card, as JSON values in the order of the keys."""
    described = card.to_json()
    return {key: described[key] for key in keys}


def _tuned_source(history: pd.DataFrame, best: Mapping[Hashable, Any]) -> dict[str, object]:
    """The score of a source that was tuned, on validation images: at the start and as it is kept; nothing of others."""
    scores = {"before": history.sort_values("step").iloc[0]["source_score"], "after": best["source_score"]}
    known = {when: round(float(score), 6) for when, score in scores.items() if pd.notna(score)}
    return {"tuned_source": known} if known else {}
