"""The size curve as SVG."""

import re

import pytest

from projpipe.app.size_curve import size_curve
from projpipe.metric import ACCURACY, BITS_PER_PIXEL, Metric
from projpipe.students.size_table import MeasuredSize


def size(params: int, score: float) -> MeasuredSize:
    return MeasuredSize(8, 1, 2, 8, score, (score - 0.01, score + 0.01), params, 9 * params, 4 * params, params / 1e4)


def curve(sizes: list[MeasuredSize], metric: Metric = ACCURACY) -> str:
    return size_curve(sizes, sizes[-1], sizes[0], metric, lambda one: one.params, "parameters")


def test_what_costs_more_stands_further_right_and_what_is_better_higher() -> None:
    svg = curve([size(1000, 0.8), size(9000, 0.9)])
    (x, y), (other_x, other_y) = re.findall(r'<circle class="pp-size" cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert float(x) < float(other_x)
    assert float(y) > float(other_y)


@pytest.mark.parametrize(("metric", "scores"), [(ACCURACY, (0.8, 0.7, 0.9)), (BITS_PER_PIXEL, (0.8, 0.9, 0.7))])
def test_the_line_leaves_out_what_is_worse_than_something_cheaper(metric: Metric, scores: tuple[float, ...]) -> None:
    svg = curve([size(1000 * number, score) for number, score in enumerate(scores, start=1)], metric)
    (line,) = re.findall(r'<polyline class="pp-line" points="([^"]+)"', svg)
    assert len(line.split()) == 2


def test_a_table_of_one_size_is_a_curve_too() -> None:
    assert "nan" not in curve([size(1000, 0.8)])
