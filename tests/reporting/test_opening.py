import copy
from typing import Any

import pytest

from projpipe.reporting.opening import Opening, closing_line, opening


def with_intervals(of: Any, interval: list[float]) -> dict[str, Any]:
    """An evaluation whose differences all have one interval, with five seeds and 40 tasks of every kind."""
    found = copy.deepcopy(of.measured)
    for by_kind in found["metrics"]["differences"].values():
        for cell in by_kind.values():
            cell.update(ci95=interval, by_seed=[0.0] * 5)
    for by_kind in found["metrics"]["results"].values():
        for cell in by_kind.values():
            cell.update(mean=0.8, tasks=40)
    return found


def opened(evaluation: dict[str, Any]) -> Opening:
    found = opening(evaluation["metrics"], evaluation["timings"])
    assert found is not None
    return found


@pytest.fixture
def unclear(accuracy: Any) -> dict[str, Any]:
    return with_intervals(accuracy, [-0.02, 0.01])


def test_differences_that_show_speak_for_themselves(accuracy: Any, bits: Any) -> None:
    for interval in ([0.01, 0.02], [-0.02, -0.01]):
        for of in (accuracy, bits):
            found = with_intervals(of, interval)
            assert opening(found["metrics"], found["timings"]) is None
            assert closing_line(found["metrics"]) is None


def test_where_hardly_any_shows_it_says_what_does(unclear: dict[str, Any]) -> None:
    static = unclear["metrics"]["differences"]["projected-static"]
    static["new_class"]["ci95"] = static["train"]["ci95"] = [0.01, 0.02]
    unclear["metrics"]["differences"]["projected-universal"]["train"]["ci95"] = [-0.02, -0.01]
    unclear["metrics"]["differences"]["projected-teacher"]["new_combination"]["mean"] = -0.005
    found = opened(unclear)

    assert "98.7 % fewer parameters than their teacher, take 98.8 % fewer multiply-accumulates" in found.shows
    assert "and are 5.3 times faster at batch 1 and 5.3 times faster at batch 32." in found.shows
    assert (
        "Projected minus teacher is −0.5 points on new combinations of known classes (95 % interval −2.0 to +1.0)."
        in found.shows
    )
    assert (
        "Projected models are better than Static projection on new classes and on training tasks; worse than Universal "
        "conditional on training tasks." in found.shows
    )
    assert found.cannot.startswith("Which method is better: of 9 differences, 6 have an interval that includes zero.")


def test_half_of_the_differences_are_enough_to_speak_for_themselves(unclear: dict[str, Any]) -> None:
    metrics = unclear["metrics"]
    del metrics["differences"]["projected-teacher"]["train"]
    for cell in metrics["differences"]["projected-static"].values():
        cell["ci95"] = [0.01, 0.02]
    assert closing_line(metrics)
    metrics["differences"]["projected-teacher"]["new_class"]["ci95"] = [-0.02, -0.01]
    assert closing_line(metrics) is None


def test_where_nothing_shows_no_difference_is_named(unclear: dict[str, Any]) -> None:
    assert "Projected models are" not in opened(unclear).shows


def test_without_another_reason_it_is_the_width_of_the_intervals(unclear: dict[str, Any]) -> None:
    differences = unclear["metrics"]["differences"]
    differences["projected-universal"]["new_class"]["ci95"] = [-0.9, 0.9]  # one wide one is not typical
    for other in ("static", "teacher"):
        differences[f"projected-{other}"]["new_class"]["ci95"] = [-0.06, 0.04]

    found = opened(unclear).cannot
    assert "equal. 3 of them reach further than 5.0 points, which says nothing: tasks are too few to tell." in found
    assert found.endswith(
        "To show, a difference would have to be larger than about 1.5 points "
        "on new combinations of known classes and 5.0 points on new classes."
    )
    assert closing_line(unclear["metrics"]) == "Methods are hard to tell apart (wide intervals): see the report"


def test_easy_tasks_few_seeds_and_few_tasks_are_named_as_reasons(unclear: dict[str, Any]) -> None:
    for by_kind in unclear["metrics"]["results"].values():
        by_kind["new_combination"]["mean"] = 0.98
        by_kind["new_class"]["tasks"] = by_kind["train"]["tasks"] = 4  # the training tasks are there to compare with
    for by_kind in unclear["metrics"]["differences"].values():
        for cell in by_kind.values():
            cell["by_seed"] = [0.0] * 3

    found = opened(unclear).cannot
    assert (
        "Every method but the controls is above 97.0 % on new combinations of known classes: the tasks are so easy"
        in found
    )
    assert "3 seeds are few" in found
    assert "Tasks are few: 4 of new classes." in found
    assert "(easy tasks, 3 seeds, few tasks)" in (closing_line(unclear["metrics"]) or "")


def test_bits_are_read_with_fewer_being_better_and_have_a_comparison_of_their_own(bits: Any) -> None:
    evaluation = with_intervals(bits, [-0.02, 0.01])
    found = opened(evaluation)
    assert "(95 % interval −0.0200 to +0.0100; fewer are better)" in found.shows
    assert "times faster at sampling." in found.shows
    assert "larger than about 0.0150 bits on new combinations" in found.cannot
    assert "omniglot_modeling" in found.elsewhere
    assert "so easy" not in found.cannot
