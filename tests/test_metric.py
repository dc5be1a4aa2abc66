"""What is best, and what an interval says, depends on the measure."""

import pytest
from scipy.stats import binomtest

from projpipe.metric import ACCURACY, BITS_PER_PIXEL, share_interval


def test_the_best_is_the_highest_or_the_lowest_and_of_several_the_first() -> None:
    values = {"a": 0.5, "b": 0.2, "c": 0.5, "d": 0.2}
    assert ACCURACY.best(values, lambda name: values[name]) == "a"
    assert BITS_PER_PIXEL.best(values, lambda name: values[name]) == "b"


@pytest.mark.parametrize(
    ("interval", "seeds", "verdict"),
    [
        ([0.001, 0.3], 3, "better"),
        ([-0.3, -0.001], 3, "worse"),
        ([-0.004, 0.004], 3, "no difference shown"),
        ([-0.05, 0.05], 3, "no difference shown"),
        ([-0.376, 0.005], 3, "too few tasks to tell"),
        ([-0.005, 0.051], 3, "too few tasks to tell"),
        ([0.01, 0.03], 1, "no difference shown"),
        ([0.01, 0.06], 1, "too few tasks to tell"),
        ([0.02, 0.02], 3, "too few tasks to tell"),  # of a single value
        ([0.0, 0.0], 3, "no difference shown"),  # all are the same
    ],
)
def test_an_interval_shows_a_difference_or_none_of_five_points_or_nothing(
    interval: list[float], seeds: int, verdict: str
) -> None:
    assert ACCURACY.verdict(interval, seeds) == verdict


def test_bits_have_a_bound_of_their_own() -> None:
    assert BITS_PER_PIXEL.verdict([-0.02, 0.02], 3) == "no difference shown"
    assert BITS_PER_PIXEL.verdict([-0.021, 0.02], 3) == "too few tasks to tell"
    assert BITS_PER_PIXEL.verdict([-0.3, -0.1], 3) == "better"


def test_an_interval_is_written_by_its_ends() -> None:
    assert ACCURACY.ends((0.95, 0.9876)) == "[95.0, 98.8]"
    assert BITS_PER_PIXEL.ends([0.95, 0.9876]) == "[0.9500, 0.9876]"


@pytest.mark.parametrize(("right", "count"), [(8, 10), (0, 10), (10, 10), (500, 1000), (1, 1)])
def test_the_interval_of_a_share_is_wilsons(right: int, count: int) -> None:
    expected = binomtest(right, count).proportion_ci(method="wilson")
    assert share_interval(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)
