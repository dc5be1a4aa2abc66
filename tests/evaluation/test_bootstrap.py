import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projpipe.evaluation.bootstrap import mean_with_interval


def test_one_seed_gives_the_normal_theory_interval_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(0.8, 0.1, size=(1, 200))
    mean, low, high = mean_with_interval(values, samples=20_000, rng=np.random.default_rng(0))

    half = 1.96 * values.std() / np.sqrt(200)
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - half, abs=0.05 * half)
    assert high == pytest.approx(mean + half, abs=0.05 * half)


def test_the_spread_of_seeds_and_of_tasks_adds_up_as_in_a_crossed_design() -> None:
    rng = np.random.default_rng(2)
    seeds, tasks = rng.normal(0, 1, size=(40, 1)), rng.normal(0, 2, size=(1, 60))
    _, low, high = mean_with_interval(seeds + tasks, samples=20_000, rng=np.random.default_rng(0))

    half = 1.96 * np.sqrt(seeds.var() / 40 + tasks.var() / 60)
    assert (high - low) / 2 == pytest.approx(half, rel=0.03)


def test_it_agrees_with_drawing_rows_and_columns_one_by_one() -> None:
    values = np.random.default_rng(3).random((3, 7))
    rng = np.random.default_rng(4)
    means = [values[np.ix_(rng.integers(3, size=3), rng.integers(7, size=7))].mean() for _ in range(20_000)]
    _, low, high = mean_with_interval(values, samples=20_000, rng=np.random.default_rng(0))

    assert (low, high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.01)


def test_disagreeing_seeds_widen_the_interval() -> None:
    tasks = np.random.default_rng(5).random(20)
    agree, disagree = np.stack([tasks, tasks]), np.stack([tasks - 0.2, tasks + 0.2])
    widths = []
    for values in (agree, disagree):
        mean, low, high = mean_with_interval(values, samples=2_000, rng=np.random.default_rng(0))
        assert mean == pytest.approx(tasks.mean())
        widths.append(high - low)

    assert widths[1] > 1.5 * widths[0]


@given(
    st.floats(-1, 1),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_equal_values_have_an_interval_of_no_width(value: float, seeds: int, tasks: int) -> None:
    found = mean_with_interval(np.full((seeds, tasks), value), samples=100, rng=np.random.default_rng(0))
    assert found == pytest.approx((value, value, value))


def test_one_generator_state_gives_one_interval() -> None:
    values = np.random.default_rng(6).random((2, 9))
    first, second = (mean_with_interval(values, 500, np.random.default_rng(7)) for _ in range(2))
    assert first == second
