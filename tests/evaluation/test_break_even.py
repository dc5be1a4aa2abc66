"""When the projector costs less than distilling every task."""

import pytest

from projpipe.evaluation.break_even import break_even, first_reaching
from projpipe.experiments.outcome import Outcome
from projpipe.training.history import HistoryRow


def row(step: int, score: float) -> HistoryRow:
    return HistoryRow(0, step, None, score, None, kept=True)


PROJECTED = [
    Outcome([row(0, 0.1), row(100, 0.9)], 10, {}, sampled_validation_score=score, flops_per_step=60, flops_to_make=2)
    for score in (0.7, 0.9)
]


def distilled(*scores: float) -> list[Outcome]:
    history = [row(10 * i, score) for i, score in enumerate(scores)]
    return [Outcome(history, 2, {}, sampled_validation_score=scores[-1], flops_per_step=40, flops_to_make=0)]


def test_distilling_is_counted_up_to_the_projectors_accuracy() -> None:
    found = break_even(PROJECTED, distilled(0.4, 0.6, 1.0))  # 0.8 is half way between step 10 and 20
    assert found["reached"]
    assert found["steps_per_task"] == pytest.approx(15)
    assert found["flops_per_task"] == 15 * 40 / 2
    assert found["projector_flops"] == 6000
    assert found["tasks"] == pytest.approx(6000 / (300 - 2), abs=0.1)
    assert found["times_less"] == 150


def test_where_distilling_never_gets_there_its_whole_budget_is_counted() -> None:
    found = break_even(PROJECTED, distilled(0.4, 0.6, 0.7))
    assert not found["reached"]
    assert found["steps_per_task"] == 20


def test_a_curve_reaches_a_target_between_two_points_or_never() -> None:
    assert first_reaching([0, 10, 20], [0.0, 0.5, 1.0], 0.75) == pytest.approx(15)
    assert first_reaching([0, 10], [0.9, 0.95], 0.5) == 0
    assert first_reaching([0, 10], [0.1, 0.2], 0.5) is None
