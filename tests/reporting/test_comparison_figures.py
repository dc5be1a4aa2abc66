import json
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from projpipe.metric import ACCURACY, BITS_PER_PIXEL
from projpipe.reporting.comparison_figures import budget_curves_figure, differences_figure

SMALL, LARGE = "small student, 1x", "small | student, <b>4x</b>"
KINDS = ("new_combination", "coherent", "random", "new_class")


def difference(mean: float, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    return {kind: {"mean": mean, "ci95": [mean - 0.029, mean + 0.027]} for kind in kinds}


@pytest.fixture
def summary() -> dict[str, Any]:
    small = {
        "reference": "projected",
        "methods": {method: {"method": method} for method in ("projected", "universal", "distilled")},
        "differences": {
            "projected-universal": difference(0.092),
            "projected-distilled": difference(0.003, KINDS[:1]),
            "projected-teacher": difference(-0.031),
            "projected-shuffled": difference(0.351),
        },
    }
    large = {
        "reference": "full-size",
        "methods": {name: {"method": "projected"} for name in ("full-size", "rank 8", "random")},
        "differences": {"full-size-rank 8": difference(0.01), "full-size-random": difference(0.05)},
    }
    return {"metric": "accuracy", "tables": {SMALL: small, LARGE: large}}


@pytest.fixture
def history() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "table": table,
                "name": name,
                "method": method,
                "seed": seed,
                "step": step,
                "validation_score": 0.5 + 0.01 * seed + step / 10_000,
            }
            for table, name, method in [
                ("1x", "projected", "projected"),
                ("1x", "universal", "universal"),
                ("4x", "projected", "projected"),
                ("4x", "rank 8", "projected"),
                ("4x", "random", "projected"),
            ]
            for seed in (0, 1, 2)
            for step in (0, 100, 200)
        ]
    )


def test_the_forest_plot_shows_every_difference_with_its_interval(summary: dict[str, Any]) -> None:
    figure = differences_figure(summary)
    first = next(t for t in figure.data if t.name == "new combinations of known classes")

    assert list(first.x) == pytest.approx([9.2, 0.3, -3.1, 35.1])
    assert list(first.error_x.array) == pytest.approx([2.7] * 4)
    assert list(first.error_x.arrayminus) == pytest.approx([2.9] * 4)
    assert [label.replace("<br>", " ") for label in figure.layout.yaxis.ticktext] == [
        "minus Universal conditional",
        "minus Per task, distilled",
        "minus Teacher",
        "minus Projected, wrong-task control",
    ]
    assert list(figure.layout.yaxis2.ticktext) == ["minus rank 8", "minus random"]
    assert [a.text for a in figure.layout.annotations] == [
        f"{SMALL}: Projected minus …",
        "small | student, &lt;b&gt;4x&lt;/b&gt;: full-size minus …",
    ]
    assert [(s.x0, s.x1) for s in figure.layout.shapes] == [(0, 0), (0, 0)]
    assert figure.layout.xaxis2.title.text == "difference (percentage points)"
    assert first.hovertemplate.startswith("minus %{customdata}: %{x:+.1f} points<extra>")


def test_bits_are_drawn_as_they_are_and_the_axis_says_which_side_is_better(summary: dict[str, Any]) -> None:
    figure = differences_figure(summary | {"metric": "bits_per_pixel"})
    first = next(t for t in figure.data if t.name == "new combinations of known classes")

    assert list(first.x) == pytest.approx([0.092, 0.003, -0.031, 0.351])
    assert list(first.error_x.array) == pytest.approx([0.027] * 4)
    assert figure.layout.xaxis2.title.text == "difference (bits per pixel, negative is better)"
    assert figure.layout.title.text == "Paired differences in bits per pixel, with 95 % intervals"
    assert first.hovertemplate.startswith("minus %{customdata}: %{x:+.4f} bits<extra>")


def test_marks_of_a_row_are_apart_and_kinds_differ_in_colour_and_marker(summary: dict[str, Any]) -> None:
    in_first_panel = [t for t in differences_figure(summary).data if t.yaxis == "y"]
    rows = [sorted(y for t in in_first_panel for y in t.y if round(y) == row) for row in range(4)]
    assert [len(row) for row in rows] == [4, 1, 4, 4]
    assert all(later - earlier > 0.1 for row in rows for earlier, later in pairwise(row))
    assert len({t.marker.color for t in in_first_panel}) == len({t.marker.symbol for t in in_first_panel}) == 4
    assert [t.legendgroup for t in differences_figure(summary).data if t.showlegend] == list(KINDS)


def test_a_single_table_with_a_single_difference_is_drawn(summary: dict[str, Any]) -> None:
    table = summary["tables"][SMALL]
    table["differences"] = {"projected-teacher": difference(0.1, KINDS[:1])}
    summary["tables"] = {SMALL: table}
    assert sum(len(t.x) for t in differences_figure(summary).data) == 1


def test_budget_curves_are_the_mean_and_the_range_of_the_seeds_in_a_panel_a_table(history: pd.DataFrame) -> None:
    figure = budget_curves_figure(history, ["4x", "1x"], ACCURACY)
    band, curve = (t for t in figure.data if t.legendgroup == "universal")

    assert [a.text for a in figure.layout.annotations] == ["4x", "1x"]
    assert (curve.xaxis, curve.yaxis) == (band.xaxis, band.yaxis) == ("x2", "y2")
    assert list(curve.x) == [100, 200]  # what is not trained yet is left out
    assert list(curve.y) == pytest.approx([52, 53])
    assert list(band.y) == pytest.approx([53, 54, 52, 51])
    assert sorted(t.name for t in figure.data if t.showlegend) == [
        "Projected",
        "Universal conditional",
        "random",
        "rank 8",
    ]
    assert "range of the seeds" in figure.layout.title.text
    assert figure.layout.yaxis.title.text == "accuracy on validation tasks (%)"


def test_a_curve_keeps_its_colour_in_all_panels_and_no_two_names_share_one(history: pd.DataFrame) -> None:
    figure = budget_curves_figure(history, ["1x", "4x"], ACCURACY)
    colours: dict[str, set[str]] = {}
    for curve in (t for t in figure.data if t.fill is None):
        colours.setdefault(curve.legendgroup, set()).add(curve.line.color)
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == len(colours) == 4


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (3, 3)])
def test_any_number_of_tables_has_as_many_panels(history: pd.DataFrame, count: int, panels: int) -> None:
    tables = [f"table {i}" for i in range(count)]
    frames = [history[history["table"] == "1x"].assign(table=table) for table in tables]
    figure = budget_curves_figure(pd.concat(frames, ignore_index=True), tables, ACCURACY)
    assert len(list(figure.select_xaxes())) == panels


def test_curves_in_bits_are_drawn_as_they_are_once_there_was_training(history: pd.DataFrame) -> None:
    figure = budget_curves_figure(history, ["1x", "4x"], BITS_PER_PIXEL)
    curve = next(t for t in figure.data if t.name == "Universal conditional")
    assert (list(curve.x), list(curve.y)) == ([100, 200], pytest.approx([0.52, 0.53]))
    assert figure.layout.yaxis.title.text == "bits per pixel on validation tasks"


def test_a_row_named_in_markup_is_escaped_where_its_label_is_broken(summary: dict[str, Any]) -> None:
    table = summary["tables"][LARGE]
    table["differences"] = {"full-size-" + "<b>&" * 9: difference(0.1)}
    (label,) = differences_figure(summary).layout.yaxis2.ticktext
    assert label.replace("<br>", "") == "minus " + "&lt;b&gt;&amp;" * 9


def test_figures_come_of_plain_json_and_are_the_same_every_time(summary: dict[str, Any]) -> None:
    stored = json.loads(json.dumps(summary))
    assert differences_figure(stored).to_json() == differences_figure(summary).to_json()
