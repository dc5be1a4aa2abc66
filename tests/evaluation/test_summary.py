import pandas as pd
import pytest

from projpipe.evaluation.metrics import TEACHER_SEED
from projpipe.evaluation.summary import Summariser, Summary
from projpipe.metric import ACCURACY, BITS_PER_PIXEL


def table(scores: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    """Tasks 0 and 1 are new combinations, task 2 has new classes."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "seed": seed,
                "task_id": task,
                "kind": kind,
                "strategy": "random",
                "class_ids": [task, 9],
                "images": 4,
                "score": score,
                "image_scores": [[score] * 3, [score]],
            }
            for (method, seed), row in scores.items()
            for task, (kind, score) in enumerate(
                zip(["new_combination", "new_combination", "new_class"], row, strict=True)
            )
        ]
    ).sample(frac=1, random_state=0)


@pytest.fixture
def summary() -> Summary:
    results = table(
        {
            ("teacher", TEACHER_SEED): [0.9, 0.9, 0.8],
            ("projected", 0): [0.8, 0.9, 0.6],
            ("projected", 1): [0.9, 1.0, 0.8],
            ("static", 0): [0.6, 0.7, 0.4],
            ("static", 1): [0.7, 0.8, 0.6],
            ("universal", 0): [0.9, 0.9, 0.6],
            ("universal", 1): [0.8, 0.8, 0.8],
        }
    )
    return Summariser(results, ACCURACY, samples=400, seed=0).summary("projected")


def test_means_are_over_seeds_and_tasks_of_a_kind(summary: Summary) -> None:
    found = summary["results"]
    assert found["projected"]["new_combination"]["mean"] == pytest.approx(0.9)
    assert found["projected"]["new_combination"]["tasks"] == 2
    assert found["projected"]["new_class"]["mean"] == pytest.approx(0.7)
    assert found["teacher"]["new_class"] == {"mean": 0.8, "ci95": [0.8, 0.8], "tasks": 1}
    assert "train" not in found["projected"]


def test_differences_are_paired_by_seed_and_task(summary: Summary) -> None:
    # Static is 0.2 below everywhere, so that the paired difference has no spread, while each method has.
    found = summary["differences"]["projected-static"]["new_combination"]
    assert found == {"mean": 0.2, "ci95": [0.2, 0.2], "by_seed": [0.2, 0.2]}
    low, high = summary["results"]["static"]["new_combination"]["ci95"]
    assert high > low
    universal = summary["differences"]["projected-universal"]["new_combination"]
    assert (universal["mean"], universal["by_seed"]) == (pytest.approx(0.05), pytest.approx([-0.05, 0.15]))
    teacher = summary["differences"]["projected-teacher"]["new_combination"]
    assert (teacher["mean"], teacher["by_seed"]) == (pytest.approx(0.0), pytest.approx([-0.05, 0.05]))


def test_coherent_and_random_combinations_are_given_separately_where_there_are_both() -> None:
    results = table({("projected", 0): [0.9, 0.5, 0.6], ("universal", 0): [0.6, 0.4, 0.1]})
    results.loc[results["task_id"] == 0, "strategy"] = "group"
    found = Summariser(results, ACCURACY, samples=100, seed=0).summary("projected")
    means = {kind: cell["mean"] for kind, cell in found["differences"]["projected-universal"].items()}
    assert means == pytest.approx({"new_combination": 0.2, "coherent": 0.3, "random": 0.1, "new_class": 0.5})


def test_coherent_and_random_new_classes_are_given_separately_where_there_are_both() -> None:
    results = table({("projected", 0): [0.9, 0.5, 0.6], ("universal", 0): [0.6, 0.4, 0.1]})
    results["kind"] = "new_class"
    results.loc[results["task_id"] == 1, "strategy"] = "group"
    found = Summariser(results, ACCURACY, samples=100, seed=0).summary("projected")["differences"]
    means = {kind: cell["mean"] for kind, cell in found["projected-universal"].items()}
    assert means == pytest.approx({"new_class": 0.3, "coherent_new_class": 0.1, "random_new_class": 0.4})


def test_no_interval_of_a_score_passes_what_a_score_can_be() -> None:
    results = table({("projected", 0): [0.0, 1.0, 0.5], ("static", 0): [1.0, 0.0, 0.5]})
    found = Summariser(results, ACCURACY, samples=100, seed=0).summary("projected")
    assert found["results"]["projected"]["new_combination"]["ci95"] == [0, 1]
    assert found["differences"]["projected-static"]["new_combination"]["ci95"] == [-1, 1]
    bits = Summariser(results, BITS_PER_PIXEL, samples=100, seed=0).summary("projected")
    low, high = bits["results"]["projected"]["new_combination"]["ci95"]
    assert low == 0
    assert high > 1


def test_methods_are_compared_on_the_tasks_that_both_have() -> None:
    results = table({("projected", 0): [0.9, 0.5, 0.6], ("distilled", 0): [0.6, 0.4, 0.1]})
    few = results[~((results["method"] == "distilled") & (results["task_id"] > 0))]
    found = Summariser(few, ACCURACY, samples=100, seed=0).summary("projected")
    assert found["differences"]["projected-distilled"].keys() == {"new_combination"}
    assert found["differences"]["projected-distilled"]["new_combination"]["mean"] == pytest.approx(0.3)
    assert found["results"]["distilled"]["new_combination"]["tasks"] == 1


def test_the_share_of_the_headroom_is_that_of_the_tasks_that_have_a_specialist() -> None:
    results = table(
        {
            **{("projected", seed): [0.70 + seed / 100, 0.99, 0.6] for seed in (0, 1)},
            **{("static", seed): [0.60 + seed / 90, 0.9, 0.6] for seed in (1, 0)},
            **{("specialist", seed): [0.80 + seed / 100, 0.0, 0.0] for seed in (0, 1)},
        }
    )
    few = results[~((results["method"] == "specialist") & (results["task_id"] > 0))]
    found = Summariser(few, ACCURACY, samples=400, seed=0).headroom("projected", "static", "specialist")
    assert found["points"].keys() == {"new_combination"}
    assert found["points"]["new_combination"]["mean"] == pytest.approx(0.2 - 1 / 1800, abs=1e-6)
    share = found["share"]["new_combination"]
    assert share is not None
    assert share["mean"] == pytest.approx((0.1 - 1 / 1800) / (0.2 - 1 / 1800), abs=1e-6)
    assert share["ci95"][0] < share["mean"] < share["ci95"][1]


def test_there_is_no_share_of_a_headroom_that_is_not_shown() -> None:
    scores = {
        ("projected", 0): [0.7, 0.71, 0.6],
        ("static", 0): [0.6, 0.6, 0.6],
        ("specialist", 0): [0.8, 0.82, 0.6],
    }
    one_seed = Summariser(table(scores), ACCURACY, samples=100, seed=0).headroom("projected", "static", "specialist")
    assert one_seed["share"] == {"new_combination": None, "new_class": None}
    scores |= {(method, 1): row for (method, _), row in list(scores.items())}
    two = Summariser(table(scores), ACCURACY, samples=400, seed=0).headroom("projected", "static", "specialist")
    assert two["share"]["new_combination"] is not None
    assert two["share"]["new_class"] is None
