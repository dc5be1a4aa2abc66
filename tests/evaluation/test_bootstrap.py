import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t

from projpipe.evaluation.bootstrap import MeanWithInterval, Parts, mean_with_interval


def interval(values: NDArray[np.float64], samples: int, rng: np.random.Generator) -> MeanWithInterval:
    """That of `values` [seeds, tasks], of tasks that have one and the same class."""
    count = values.shape[1]
    return mean_with_interval(values, Parts(np.arange(count), np.zeros(count, dtype=int), np.ones(count)), samples, rng)


@pytest.mark.parametrize("tasks", [20, 200])
def test_one_seed_gives_the_interval_of_student_s_t(tasks: int) -> None:
    values = np.random.default_rng(1).normal(0.8, 0.1, size=(1, tasks))
    mean, low, high = interval(values, samples=20_000, rng=np.random.default_rng(0))

    half = t.ppf(0.975, tasks - 1) * values.std(ddof=1) / np.sqrt(tasks)
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - half, abs=0.1 * half)
    assert high == pytest.approx(mean + half, abs=0.1 * half)
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_the_spread_of_seeds_and_of_tasks_adds_up_as_in_a_crossed_design() -> None:
    rng = np.random.default_rng(2)
    seeds, tasks = rng.normal(0, 1, size=(40, 1)), rng.normal(0, 2, size=(1, 60))
    _, low, high = interval(seeds + tasks, samples=20_000, rng=np.random.default_rng(0))

    variance = sum((t.ppf(0.975, part.size - 1) / 1.96) ** 2 * part.var(ddof=1) / part.size for part in (seeds, tasks))
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.03)


@pytest.mark.parametrize(("of_seeds", "of_tasks"), [(1.0, 0.0), (1.0, 1.0), (1.0, 4.0), (0.0, 1.0)])
def test_the_interval_of_three_seeds_holds_the_mean_in_about_nineteen_of_twenty_cases(
    of_seeds: float, of_tasks: float
) -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(400):
        values = of_seeds * rng.normal(size=(3, 1)) + of_tasks * rng.normal(size=(1, 40)) + rng.normal(size=(3, 40))
        _, low, high = interval(values, samples=300, rng=rng)
        held.append(low <= 0 <= high)
    assert 0.92 < np.mean(held) < 0.995


def test_seeds_alone_are_widened_by_what_student_s_t_asks_for() -> None:
    # One of 27 resamples is the lowest of three seeds three times, so that the bootstrap's interval ends there.
    mean, low, high = interval(np.array([[1.0], [2.0], [6.0]]), 5_000, np.random.default_rng(0))
    widening = t.ppf(0.975, 2) / 1.96 * np.sqrt(3 / 2)
    assert (mean, low, high) == pytest.approx((3, 3 - 2 * widening, 3 + 3 * widening), rel=1e-3)


def test_disagreeing_seeds_widen_the_interval() -> None:
    tasks = np.random.default_rng(5).random(20)
    agree, disagree = np.stack([tasks, tasks]), np.stack([tasks - 0.2, tasks + 0.2])
    widths = []
    for values in (agree, disagree):
        mean, low, high = interval(values, samples=2_000, rng=np.random.default_rng(0))
        assert mean == pytest.approx(tasks.mean())
        widths.append(high - low)

    assert widths[1] > 1.5 * widths[0]


@given(
    st.floats(-1, 1),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_equal_values_have_an_interval_of_no_width(value: float, seeds: int, tasks: int) -> None:
    found = interval(np.full((seeds, tasks), value), samples=100, rng=np.random.default_rng(0))
    assert found == pytest.approx((value, value, value))


def test_one_generator_state_gives_one_interval() -> None:
    values = np.random.default_rng(6).random((2, 9))
    first, second = (interval(values, 500, np.random.default_rng(7)) for _ in range(2))
    assert first == second


# tasks, of how many of how many classes, and the deviation of what a class, a task and a seed add
DESIGNS = {
    "tasks share few classes": (20, (2, 5), 9, 0.06, 0.01, 0.01),
    "tasks share many classes": (40, (2, 40), 68, 0.06, 0.01, 0.005),
    "each task has its own classes": (12, (4, 4), 48, 0.02, 0.03, 0.01),
}


@pytest.mark.parametrize(("design", "without_classes"), list(zip(DESIGNS, (0.85, 0.95, 1.0), strict=True)))
def test_the_interval_holds_the_mean_whatever_tasks_share(design: str, without_classes: float) -> None:
    """That of seeds and tasks alone leaves it out too often where tasks share classes, that of classes alone else."""
    count, (fewest, most), classes, *deviations = DESIGNS[design]
    rng = np.random.default_rng(8)
    held, held_by_tasks_alone = [], []
    for _ in range(200):
        tasks = [rng.choice(classes, rng.integers(fewest, most + 1), replace=False) for _ in range(count)]
        if count * most == classes:
            tasks = list(rng.permutation(classes).reshape(count, most))
        sizes = [len(task) for task in tasks]
        parts = Parts(np.repeat(np.arange(count), sizes), np.concatenate(tasks), np.repeat(np.divide(1, sizes), sizes))
        of_class, of_task, of_seed = (
            rng.normal(0, deviation, number) for deviation, number in zip(deviations, (classes, count, 3), strict=True)
        )
        noise = rng.normal(0, 0.01, (3, sum(sizes)))
        scores = of_class[parts.classes] + of_task[parts.tasks] + of_seed[:, None] + noise
        _, low, high = mean_with_interval(scores, parts, 400, rng)
        held.append(low <= 0 <= high)
        by_task = np.stack([np.bincount(parts.tasks, one * parts.shares) for one in scores])
        _, low, high = interval(by_task, 400, rng)
        held_by_tasks_alone.append(low <= 0 <= high)
    assert np.mean(held) > 0.92
    assert np.mean(held_by_tasks_alone) <= without_classes


def test_a_class_counts_by_its_share_of_the_images() -> None:
    parts = Parts(np.array([0, 0]), np.array([3, 4]), np.array([0.75, 0.25]))
    mean, low, high = mean_with_interval(np.array([[0.8, 0.4]]), parts, 100, np.random.default_rng(0))
    assert mean == pytest.approx(0.7)
    assert low < 0.7 < high
