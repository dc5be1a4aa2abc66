from typing import Any

import pandas as pd
import pytest

from projpipe.metric import ACCURACY, BITS_PER_PIXEL
from projpipe.reporting import figures
from projpipe.reporting.size_figure import size_figure
from projpipe.reporting.style import KIND_NAMES


def trace(figure: Any, name: str) -> Any:
    return next(t for t in figure.data if t.name == name)


def test_scores_are_drawn_as_the_metric_writes_them_with_their_intervals(either: Any) -> None:
    results, scale = either.measured["metrics"]["results"], either.metric.scale
    figure = figures.scores_figure(results, either.metric)

    assert [t.name for t in figure.data] == ["Teacher", "Projected", "Static projection", "Universal conditional"] * 3
    drawn = iter(figure.data)
    for row, kind in enumerate(("new_combination", "new_class", "train"), start=1):
        for method in results:
            mark, mean, (low, high) = next(drawn), results[method][kind]["mean"], results[method][kind]["ci95"]
            assert mark.xaxis == f"x{row}".removesuffix("1")
            assert mark.x[0] == pytest.approx(scale * mean)
            assert mark.x[0] + mark.error_x.array[0] == pytest.approx(scale * high)
            assert mark.x[0] - mark.error_x.arrayminus[0] == pytest.approx(scale * low)


def test_figures_say_what_is_drawn(accuracy: Any, bits: Any) -> None:
    def texts(of: Any) -> list[str]:
        scores = figures.scores_figure(of.measured["metrics"]["results"], of.metric)
        curves = figures.learning_curves_figure(of.history, of.metric)
        sizes = size_figure(of.front, of.trials, of.metric)
        hovered = [
            figure.data[1].hovertemplate.split("<extra>")[0].split(": ")[-1].split("<br>")[-1]
            for figure in (scores, curves, sizes)
        ]
        axes = (scores.layout.xaxis3, curves.layout.yaxis, sizes.layout.yaxis, sizes.layout.yaxis2)
        return [*(axis.title.text for axis in axes), *hovered, scores.layout.title.text]

    assert texts(accuracy) == [
        "accuracy (%)",
        "accuracy on validation tasks (%)",
        *["accuracy (%)"] * 2,
        "%{x:.1f} %",
        *["%{y:.1f} %"] * 2,
        "Accuracy on tasks by kind, with 95 % intervals",
    ]
    assert texts(bits) == [
        "bits per pixel",
        "bits per pixel on validation tasks",
        *["bits per pixel"] * 2,
        "%{x:.4f} bits per pixel",
        *["%{y:.4f} bits per pixel"] * 2,
        "Bits per pixel on tasks by kind, with 95 % intervals",
    ]


def test_methods_differ_in_colour_and_in_marker(either: Any) -> None:
    markers = [t.marker for t in figures.scores_figure(either.measured["metrics"]["results"], either.metric).data]
    assert len({m.color for m in markers}) == len({m.symbol for m in markers}) == 4


def test_every_kind_has_a_panel_and_controls_have_no_mark(with_controls: dict[str, Any]) -> None:
    figure = figures.scores_figure(with_controls["metrics"]["results"], ACCURACY)
    kinds = [note.text.rpartition(" (")[0] for note in figure.layout.annotations]
    assert kinds == list(KIND_NAMES.values())
    assert len({t.name for t in figure.data}) == 4


def test_learning_curves_are_the_mean_and_the_range_of_the_seeds(either: Any) -> None:
    history, scale = either.history, either.metric.scale
    figure = figures.learning_curves_figure(history, either.metric)
    shown = history[history["step"] > 0]
    rows = shown[shown["method"] == "static"].pivot(index="step", columns="seed", values="validation_score")
    band, curve = (t for t in figure.data if t.legendgroup == "static")

    assert list(curve.x) == [0, 100, 200, 300, 400][-len(rows) :] == list(rows.index)
    assert list(curve.y) == pytest.approx([scale * value for value in rows.mean(axis=1)])
    assert list(band.y[: len(rows)]) == pytest.approx([scale * value for value in rows.max(axis=1)])
    assert list(band.y[len(rows) :]) == pytest.approx([scale * value for value in rows.min(axis=1)[::-1]])
    assert "2 seeds" in figure.layout.title.text


def test_tasks_are_sorted_by_the_paired_gain(results: pd.DataFrame) -> None:
    figure = figures.tasks_figure(results, ACCURACY)
    by_task = results[results["kind"] == "new_class"].pivot_table(
        index="task_id", columns="method", values="score", aggfunc="mean"
    )
    gains = sorted(100 * (by_task["projected"] - by_task["universal"]))

    drawn = next(t for t in figure.data if len(t.y) == 4)
    assert list(drawn.y) == pytest.approx(gains)
    assert [a.text for a in figure.layout.annotations] == [
        "new combinations of known classes",
        "new classes",
        "training tasks",
    ]
    assert figure.layout.yaxis.title.text == "gain (points)"
    assert figure.layout.title.text == "Projected minus universal conditional model, task by task"


def test_where_fewer_are_better_the_gain_is_what_the_projected_model_saves(bits: Any) -> None:
    figure = figures.tasks_figure(bits.results, BITS_PER_PIXEL)
    new = bits.results[bits.results["kind"] == "new_class"]
    by_task = new.pivot_table(index="task_id", columns="method", values="score", aggfunc="mean")

    drawn = next(t for t in figure.data if len(t.y) == 4)
    assert list(drawn.y) == pytest.approx(sorted(by_task["universal"] - by_task["projected"]))
    assert min(drawn.y) > 0  # projected is the better one throughout
    assert "%{y:+.4f} bits" in drawn.hovertemplate
    assert figure.layout.yaxis.title.text == "gain (bits)"
    assert figure.layout.title.text == "Universal conditional minus projected model, task by task"


def test_task_names_cannot_bring_in_markup(results: pd.DataFrame) -> None:
    names = [name for t in figures.tasks_figure(results, ACCURACY).data for name in t.customdata]
    assert len(names) == 20
    assert not any("<" in name for name in names)


@pytest.mark.parametrize(("of", "front_scores"), [("accuracy", [84, 89, 90]), ("bits", [2.11, 1.98, 1.93])])
def test_sizes_are_drawn_against_parameters_and_latency_with_the_universal_model_beside_them(
    request: pytest.FixtureRequest, of: str, front_scores: list[float]
) -> None:
    case = request.getfixturevalue(of)
    figure = size_figure(case.front, case.trials, case.metric)
    of_params, of_latency = (t for t in figure.data if t.name == "Projected")

    assert list(of_params.x) == [3_400, 8_100, 9_800]
    assert list(of_latency.x) == [0.34, 0.81, 0.98]
    assert list(of_params.y) == list(of_latency.y) == pytest.approx(front_scores)
    assert list(trace(figure, "other sizes").x) == [34_000]
    assert list(trace(figure, "Recommended").x) == [3_400]
    assert list(trace(figure, "Universal conditional").y) == pytest.approx([0.98 * score for score in front_scores])
    assert "12 wide x 1 deep, 2 heads, 12 hidden units<br>3,400 parameters, 0.34 ms" in of_params.customdata
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"


def test_one_size_is_drawn(accuracy: Any) -> None:
    figure = size_figure(accuracy.front.head(1), accuracy.trials.head(1), ACCURACY)
    assert list(trace(figure, "Projected").x) == [3_400]


def test_figures_are_the_same_bytes_every_time(either: Any) -> None:
    drawn = [figures.tasks_figure(either.results, either.metric).to_json() for _ in range(2)]
    sizes = [size_figure(either.front, either.trials, either.metric).to_json() for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert sizes[0] == sizes[1]
