from typing import Any

import pandas as pd
import pytest

from projpipe.reporting import figures


def trace(figure: Any, name: str) -> Any:
    return next(t for t in figure.data if t.name == name)


def test_accuracies_are_drawn_in_per_cent_with_their_intervals(evaluation: dict[str, Any]) -> None:
    results = evaluation["metrics"]["results"]
    figure = figures.accuracy_figure(results)

    assert [t.name for t in figure.data] == ["Teacher", "Projected", "Static projection", "Universal conditional"]
    for method, drawn in zip(results, figure.data, strict=True):
        for i, kind in enumerate(("new_combination", "new_class", "train")):
            mean, (low, high) = results[method][kind]["mean"], results[method][kind]["ci95"]
            assert drawn.y[i] == pytest.approx(100 * mean)
            assert drawn.y[i] + drawn.error_y.array[i] == pytest.approx(100 * high)
            assert drawn.y[i] - drawn.error_y.arrayminus[i] == pytest.approx(100 * low)
            assert figure.layout.yaxis.range[0] < 100 * low < 100 * high < figure.layout.yaxis.range[1]


def test_methods_differ_in_colour_and_in_marker(evaluation: dict[str, Any]) -> None:
    markers = [t.marker for t in figures.accuracy_figure(evaluation["metrics"]["results"]).data]
    assert len({m.color for m in markers}) == len({m.symbol for m in markers}) == 4


def test_controls_and_further_kinds_are_drawn_beside_the_methods(with_controls: dict[str, Any]) -> None:
    figure = figures.accuracy_figure(with_controls["metrics"]["results"])
    kinds = [label.replace("<br>", " ").split(" (")[0] for label in figure.data[0].x]

    assert kinds == list(figures.KIND_NAMES.values())
    assert list(trace(figure, "Projected, another task's embedding").y) == pytest.approx([40] * 4)
    assert len({t.marker.color for t in figure.data}) == len({t.marker.symbol for t in figure.data}) == 7


def test_every_method_has_a_name_a_colour_and_a_marker_of_its_own() -> None:
    assert figures.METHOD_NAMES.keys() == figures.COLOURS.keys() == figures.MARKERS.keys()
    assert len(set(figures.METHOD_NAMES.values())) == len(set(figures.MARKERS.values())) == len(figures.METHOD_NAMES)
    assert len(set(figures.DASHES.values())) == len(figures.DASHES)


def test_curves_of_any_number_of_other_names_are_told_apart() -> None:
    names = ["projected", "static", *(f"rank {rank}" for rank in range(20)), "random"]
    history = pd.DataFrame({"name": names, "method": ["projected", "static", *["projected"] * 21]})
    styles = figures.curve_styles(history)

    assert styles["projected"].label == "Projected"
    assert styles["random"].label == "random"
    assert len({(style.colour, style.dash) for style in styles.values()}) == len(names)
    assert len({styles[name].colour for name in names[:8]}) == 8


def test_learning_curves_are_the_mean_and_the_range_of_the_seeds(history: pd.DataFrame) -> None:
    figure = figures.learning_curves_figure(history)
    rows = history[history["method"] == "static"].pivot(index="step", columns="seed", values="validation_accuracy")
    band, curve = (t for t in figure.data if t.legendgroup == "static")

    assert list(curve.x) == [0, 100, 200, 300, 400]
    assert list(curve.y) == pytest.approx([100 * value for value in rows.mean(axis=1)])
    assert list(band.y[:5]) == pytest.approx([100 * value for value in rows.max(axis=1)])
    assert list(band.y[5:]) == pytest.approx([100 * value for value in rows.min(axis=1)[::-1]])
    assert "2 seeds" in figure.layout.title.text


def test_tasks_are_sorted_by_the_paired_gain(results: pd.DataFrame) -> None:
    figure = figures.tasks_figure(results)
    by_task = results[results["kind"] == "new_class"].pivot_table(
        index="task_id", columns="method", values="accuracy", aggfunc="mean"
    )
    gains = sorted(100 * (by_task["projected"] - by_task["universal"]))

    drawn = next(t for t in figure.data if len(t.y) == 4)
    assert list(drawn.y) == pytest.approx(gains)
    assert [a.text for a in figure.layout.annotations] == [
        "new combinations of known classes",
        "new classes",
        "training tasks",
    ]


def test_task_names_cannot_bring_in_markup(results: pd.DataFrame) -> None:
    names = [name for t in figures.tasks_figure(results).data for name in t.customdata]
    assert len(names) == 20
    assert not any("<" in name for name in names)


def test_the_pareto_front_is_marked_and_runs_from_small_to_large(trials: pd.DataFrame) -> None:
    figure = figures.pareto_figure(trials, teacher_accuracy=0.93)
    front, beaten = trace(figure, "Pareto front"), figure.data[0]

    assert list(front.x) == [3_400, 8_100, 9_800]
    assert list(front.y) == pytest.approx([84, 89, 90])
    assert list(beaten.x) == [34_000]
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.shapes[0].y0 == pytest.approx(93)
    assert not figures.pareto_figure(trials).layout.shapes


@pytest.mark.parametrize("size", [1, 2])
def test_a_sweep_of_few_trials_is_drawn(trials: pd.DataFrame, size: int) -> None:
    figure = figures.pareto_figure(trials.head(size))
    assert sum(len(t.x) for t in figure.data) == size


def test_figures_are_the_same_bytes_every_time(results: pd.DataFrame, trials: pd.DataFrame) -> None:
    assert figures.tasks_figure(results).to_json() == figures.tasks_figure(results).to_json()
    assert figures.pareto_figure(trials).to_json() == figures.pareto_figure(trials).to_json()
