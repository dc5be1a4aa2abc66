import copy
from typing import Any

import pandas as pd
import pytest

from projpipe.reporting.caveats import caveats


def cleaned(evaluation: dict[str, Any], gain: list[float]) -> dict[str, Any]:
    """An evaluation at which no rule but the two that always hold has anything to say."""
    found = copy.deepcopy(evaluation)
    metrics, timings = found["metrics"], found["timings"]
    for by_kind in metrics["differences"].values():
        for cell in by_kind.values():
            cell.update(ci95=gain, by_seed=[gain[0]] * 5)
    for by_kind in metrics["results"].values():
        for cell in by_kind.values():
            cell.update(mean=0.8, tasks=40)
    metrics["teacher"]["macs"], metrics["student"]["macs"] = 1000, 100
    for by_setting in (*timings["latency"].values(), timings["sampling"]):
        for measured in by_setting.values():
            measured.update(median_ms=1.0, undisturbed_ms=1.0, iqr_ms=0.01, speedup=9.0, undisturbed_speedup=9.0)
    return found


@pytest.fixture
def clean(accuracy: Any) -> dict[str, Any]:
    return cleaned(accuracy.measured, [0.01, 0.02])


@pytest.fixture
def clean_bits(bits: Any) -> dict[str, Any]:
    return cleaned(bits.measured, [-0.02, -0.01])


def difference(low: float, high: float) -> dict[str, Any]:
    return {"mean": (low + high) / 2, "ci95": [low, high], "by_seed": [(low + high) / 2] * 5}


def with_seeds(evaluation: dict[str, Any], seeds: int) -> dict[str, Any]:
    for by_kind in evaluation["metrics"]["differences"].values():
        for cell in by_kind.values():
            cell["by_seed"] = cell["by_seed"][:seeds]
    return evaluation


def found_in(evaluation: dict[str, Any], results: pd.DataFrame) -> str:
    return "\n".join(caveats(evaluation["metrics"], evaluation["timings"], results))


def test_a_strong_evaluation_has_only_the_limits_that_always_hold(clean: dict[str, Any], results: pd.DataFrame) -> None:
    sentences = caveats(clean["metrics"], clean["timings"], results)
    assert len(sentences) == 2
    assert "one image is 1.7 points" in sentences[0]
    assert "One teacher, one data set and one training budget" in sentences[1]


def test_in_bits_too_and_the_direction_is_kept_in_mind(clean_bits: dict[str, Any], results: pd.DataFrame) -> None:
    sentences = caveats(clean_bits["metrics"], clean_bits["timings"], results)
    assert len(sentences) == 2
    assert "has 60 of them, so that one image is 1.7 % of the mean there." in sentences[0]

    clean_bits["metrics"]["differences"]["projected-static"]["new_class"]["ci95"] = [0.01, 0.02]
    clean_bits["metrics"]["differences"]["projected-shuffled"] = {"new_class": difference(0.01, 0.03)}
    found = found_in(clean_bits, results)
    assert "Projected minus static projection: the projected model is worse on new classes." in found
    assert "in place of its task's own, the projector does better on new classes." in found


def test_bits_have_no_ceiling(clean_bits: dict[str, Any], results: pd.DataFrame) -> None:
    for by_kind in clean_bits["metrics"]["results"].values():
        by_kind["new_combination"]["mean"] = 1.98
    assert "Every method is above" not in found_in(clean_bits, results)


def test_sampling_that_lags_or_is_noisy_is_said(clean_bits: dict[str, Any], results: pd.DataFrame) -> None:
    clean_bits["timings"]["sampling"]["projected"].update(speedup=2.0, undisturbed_speedup=2.0)
    clean_bits["timings"]["sampling"]["universal"]["iqr_ms"] = 0.5
    found = found_in(clean_bits, results)
    assert "10 times fewer multiply-accumulates but is 2.0 times faster at sampling:" in found
    assert "universal conditional at sampling." in found


def test_an_interval_around_zero_and_one_below_it_are_said_apart(clean: dict[str, Any], results: pd.DataFrame) -> None:
    differences = clean["metrics"]["differences"]
    differences["projected-static"]["new_class"]["ci95"] = [-0.01, 0.01]
    differences["projected-universal"]["new_combination"]["ci95"] = [-0.03, -0.01]
    found = found_in(clean, results)

    assert "Projected minus static projection: the interval includes zero on new classes" in found
    assert "Projected minus universal conditional: the projected model is worse on new combinations" in found


def test_a_control_that_does_as_well_means_that_the_task_is_not_shown_to_be_used(
    clean: dict[str, Any], results: pd.DataFrame
) -> None:
    clean["metrics"]["differences"]["projected-shuffled"] = {
        "new_combination": difference(-0.01, 0.01),
        "new_class": difference(0.01, 0.03),
    }
    clean["metrics"]["differences"]["projected-mean"] = {"new_class": difference(-0.03, -0.01)}
    found = found_in(clean, results)

    assert "Projected, wrong-task control: told another task's embedding in place of its task's own, the" in found
    assert (
        "the projector is not shown to do worse on new combinations of known classes. This run does not show" in found
    )
    assert (
        "Projected, mean-embedding control: told the mean embedding of the training tasks in place of its task's"
        in found
    )
    assert "the projector does better on new classes." in found


def test_controls_clear_of_the_projector_are_no_limit(
    clean: dict[str, Any], with_controls: dict[str, Any], results: pd.DataFrame
) -> None:
    before = found_in(clean, results)
    for control in ("shuffled", "mean", "random"):
        for table, name in (("results", control), ("differences", f"projected-{control}")):
            clean["metrics"][table][name] = with_controls["metrics"][table][name]
    assert found_in(clean, results) == before


def test_few_seeds_and_few_tasks_are_said(clean: dict[str, Any], results: pd.DataFrame) -> None:
    clean["metrics"]["results"]["projected"]["new_class"]["tasks"] = 4
    found = found_in(with_seeds(clean, 2), results)

    assert "trained with 2 seeds, which show the spread between training runs only roughly" in found
    assert "fewer than 10 tasks on new classes:" in found


def test_one_seed_shows_nothing_of_training_runs(clean: dict[str, Any], results: pd.DataFrame) -> None:
    found = found_in(with_seeds(clean, 1), results)
    assert "one seed: intervals hold the spread of tasks and classes alone" in found
    assert "roughly" not in found


def test_tasks_so_easy_that_all_methods_meet_are_said(clean: dict[str, Any], results: pd.DataFrame) -> None:
    for by_kind in clean["metrics"]["results"].values():
        by_kind["new_combination"]["mean"] = 0.98
    assert "Every method is above 97 %" in found_in(clean, results)
    clean["metrics"]["results"]["shuffled"] = {"new_combination": {"mean": 0.2, "ci95": [0.1, 0.3], "tasks": 40}}
    assert "Every method is above 97 %" in found_in(clean, results)
    clean["metrics"]["results"]["universal"]["new_combination"]["mean"] = 0.9
    assert "Every method is above" not in found_in(clean, results)


def test_speed_that_lags_behind_compute_and_noise_are_said(clean: dict[str, Any], results: pd.DataFrame) -> None:
    clean["timings"]["latency"]["projected"]["1"].update(speedup=3.0, undisturbed_speedup=3.0)
    clean["timings"]["latency"]["teacher"]["32"]["iqr_ms"] = 0.5
    found = found_in(clean, results)

    assert "10 times fewer multiply-accumulates but is 3.0 times faster at batch 1:" in found
    assert "teacher at batch 32" in found
