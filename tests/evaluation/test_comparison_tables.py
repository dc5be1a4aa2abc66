"""From the outcomes of trials to the tables that are shown."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from projpipe.config import ConditioningConfig, TrainProjectorConfig
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.evaluation.comparison_tables import comparison_history, comparison_results, comparison_summary
from projpipe.evaluation.cost import Cost
from projpipe.evaluation.metrics import TEACHER_SEED
from projpipe.experiments.outcome import Outcome
from projpipe.experiments.trial import Trial
from projpipe.metric import ACCURACY
from projpipe.settings import CONFIG_LOADER_ARGS
from projpipe.training.history import HistoryRow

CONF = Path(__file__).parents[2] / "conf"
TASKS = pd.DataFrame(
    {
        "task_id": [4, 5, 9],
        "task_name": ["a", "b", "c"],
        "kind": ["new_combination", "new_combination", "new_class"],
        "strategy": ["random", "group", "random"],
        "class_ids": [[0, 1], [2, 3, 4], [7, 8]],
        "num_classes": [2, 3, 2],
        "images": [2, 3, 2],
        "score": [0.9, 1.0, 0.8],
        "image_scores": [[[0.9], [0.9]], [[1.0], [1.0], [1.0]], [[0.8], [0.8]]],
    }
)
SAMPLED = 2
SMALL = Cost(params=100, macs=400)
COSTS = {"teacher": Cost(params=1000, macs=8000), "1x": SMALL, "5x": SMALL}


def trial(table: str, name: str, method: str, seed: int, steps: int) -> Trial:
    settings = EnvironmentConfigLoader(CONF, **CONFIG_LOADER_ARGS)["parameters"]["train_projector"]
    settings["optimisation"]["steps"] = steps
    return Trial(table, name, method, TrainProjectorConfig(**settings | {"seeds": (seed,)}), 0.01, controls=False)


def outcome(seed: int, reached: float, **accuracies: list[float]) -> Outcome:
    """Half way it was best in validation, but its source had lost too much there."""
    rows = [(0, 0.1, 0.99, True), (50, 0.95, 0.5, False), (100, reached, 0.98, True)]
    history = [HistoryRow(seed, step, None, score, source, kept) for step, score, source, kept in rows]
    scores = {
        row: [[[score]] * classes for score, classes in zip(of_tasks, TASKS["num_classes"], strict=False)]
        for row, of_tasks in accuracies.items()
    }
    return Outcome(history, 10, scores, sampled_validation_score=0.5, flops_per_step=7, flops_to_make=3)


@pytest.fixture
def compared() -> tuple[list[Trial], list[Outcome], pd.DataFrame]:
    trials, outcomes = [], []
    for seed in (0, 1):
        trials.append(trial("1x", "ours", "projected", seed, 100))
        outcomes.append(outcome(seed, 0.8 + 0.02 * seed, method=[0.7, 0.9, 0.6 + seed / 10], shuffled=[0.5, 0.5, 0.5]))
        trials.append(trial("1x", "theirs", "distilled", seed, 100))
        outcomes.append(outcome(seed, 0.6, method=[0.6, 0.7]))
    trials.append(trial("5x", "ours", "projected", 0, 500))
    outcomes.append(outcome(0, 0.9, method=[0.8, 0.8, 0.8]))
    return trials, outcomes, comparison_results(trials, outcomes, TASKS, SAMPLED)


def test_every_row_of_a_table_has_its_accuracy_on_every_task_it_was_judged_on(compared: Any) -> None:
    results = compared[2]
    found = {
        key: dict(zip(rows["task_id"], rows["score"].round(12), strict=True))
        for key, rows in results.groupby(["table", "method", "seed"])
    }
    assert found == {
        ("1x", "teacher", TEACHER_SEED): {4: 0.9, 5: 1.0, 9: 0.8},
        ("5x", "teacher", TEACHER_SEED): {4: 0.9, 5: 1.0, 9: 0.8},
        ("1x", "ours", 0): {4: 0.7, 5: 0.9, 9: 0.6},
        ("1x", "ours", 1): {4: 0.7, 5: 0.9, 9: 0.7},
        ("1x", "shuffled", 0): {4: 0.5, 5: 0.5, 9: 0.5},
        ("1x", "shuffled", 1): {4: 0.5, 5: 0.5, 9: 0.5},
        ("1x", "theirs", 0): {4: 0.6, 5: 0.7},
        ("1x", "theirs", 1): {4: 0.6, 5: 0.7},
        ("5x", "ours", 0): {4: 0.8, 5: 0.8, 9: 0.8},
    }


def test_learning_curves_are_of_methods_with_one_model_for_all_tasks(compared: Any) -> None:
    trials, outcomes, _ = compared
    history = comparison_history(trials, outcomes)
    assert set(history["method"]) == {"projected"}
    assert history.groupby(["table", "seed"]).size().to_dict() == {("1x", 0): 3, ("1x", 1): 3, ("5x", 0): 3}


def test_differences_from_a_model_per_task_are_paired_on_its_own_tasks(compared: Any) -> None:
    table = comparison_summary(*compared, COSTS, ACCURACY, bootstrap_samples=50, seed=0)["1x"]
    assert table["results"]["ours"]["new_combination"]["mean"] == pytest.approx(0.8)
    assert table["differences"]["ours-theirs"].keys() == {"new_combination", "coherent", "random"}
    assert table["differences"]["ours-theirs"]["random"]["mean"] == pytest.approx(0.1)
    assert table["differences"]["ours-theirs"]["coherent"]["mean"] == pytest.approx(0.2)
    assert table["differences"]["ours-teacher"]["new_class"]["mean"] == pytest.approx(-0.15)


def test_a_table_says_what_its_first_row_and_its_students_are(compared: Any) -> None:
    tables = comparison_summary(*compared, COSTS, ACCURACY, bootstrap_samples=50, seed=0)
    assert list(tables) == ["1x", "5x"]
    assert (tables["1x"]["reference"], tables["1x"]["seeds"], tables["1x"]["steps"]) == ("ours", [0, 1], 100)
    assert tables["1x"]["reduction"] == pytest.approx({"params": 0.9, "macs": 0.95})
    assert tables["5x"]["steps"] == 500
    assert tables["5x"]["break_even"] is None


def test_a_checkpoint_that_was_refused_is_not_reported(compared: Any) -> None:
    ours = comparison_summary(*compared, COSTS, ACCURACY, bootstrap_samples=50, seed=0)["1x"]["methods"]["ours"]
    assert ours["parameters"]["conditioning"].keys() == ConditioningConfig.model_fields.keys()
    assert ours["validation_score"] == pytest.approx(0.81)  # the mean of both seeds
    assert ours["source_score"] == {"before": 0.99, "after": 0.98}
    assert ours["training_flops"] == 700


def test_the_break_even_sets_the_first_row_against_distilling(compared: Any) -> None:
    found = comparison_summary(*compared, COSTS, ACCURACY, bootstrap_samples=50, seed=0)["1x"]["break_even"]
    assert found["reached"]  # 0.5, between step 0 and 50
    assert found["steps_per_task"] == pytest.approx(23.5)
    assert found["projector_flops"] == 700


def test_the_break_even_is_against_the_row_that_distils_best(compared: Any) -> None:
    trials, outcomes, results = compared
    alone = comparison_summary(*compared, COSTS, ACCURACY, bootstrap_samples=50, seed=0)["1x"]["break_even"]
    costly = [(replace(made, flops_per_step=70), one) for one, made in zip(trials, outcomes, strict=True)]
    more = [(replace(one, row="costly"), made) for made, one in costly if one.row == "theirs"]
    for position in (1, len(trials)):  # before and after the other one
        pairs = list(zip(trials, outcomes, strict=True))
        pairs[position:position] = more
        both = comparison_summary(*zip(*pairs, strict=True), results, COSTS, ACCURACY, bootstrap_samples=50, seed=0)
        assert both["1x"]["break_even"] == alone


def test_there_is_no_break_even_without_a_projector_that_stands_first(compared: Any) -> None:
    trials, outcomes, results = compared
    others = [replace(trial, method="static") if trial.row == "ours" else trial for trial in trials]
    assert comparison_summary(others, outcomes, results, COSTS, ACCURACY, 50, 0)["1x"]["break_even"] is None
