"""Image modelling as a user types it: `kedro run --env smoke_modeling`, and what can be done with what it leaves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pages import IMAGE_MODELLING, type_all
from projpipe import load_projector
from projpipe.methods.registry import main_methods
from projpipe.objectives import objective_from_json


@pytest.fixture(scope="module")
def data(modeling_run: tuple[Path, str]) -> Path:
    return modeling_run[0] / "data/smoke_modeling"


def test_models_are_judged_in_bits_and_fewer_are_better(data: Path) -> None:
    metrics = json.loads((data / "08_reporting/metrics.json").read_text())
    results = pd.read_parquet(data / "08_reporting/results.parquet")
    assert (metrics["objective"], metrics["metric"]) == ("image_modeling", "bits_per_token")
    assert metrics["higher_is_better"] is False
    assert results["score"].between(0, np.log2(12) + 1).all()
    assert results["num_classes"].isin([1, 2]).all()
    assert {"teacher", "projected", "static", "universal", "shuffled"} <= set(results["method"])
    for method, by_kind in metrics["results"].items():
        expected = results[(results["method"] == method) & (results["kind"] == "new_combination")]["score"].mean()
        assert by_kind["new_combination"]["mean"] == pytest.approx(expected, abs=1e-6)


def test_training_brings_the_bits_down_and_keeps_the_fewest(data: Path) -> None:
    history = pd.read_parquet(data / "07_model_output/projected_history.parquet").sort_values("step")
    scores = history["validation_score"].to_numpy()
    assert scores[-1] < scores[0] - 0.05
    assert history.loc[history["kept"], "validation_score"].iloc[-1] == scores.min()
    assert history["source_score"].notna().all()  # the source was tuned, and measured


def test_the_projector_draws_images_in_the_symbols_of_its_teacher(data: Path) -> None:
    projector = load_projector(data / "06_models/projector")
    objective = objective_from_json(json.loads((data / "05_model_input/objective.json").read_text()))
    assert projector.objective == objective
    drawn = projector.student(["3"]).sample(5, seed=1)
    assert drawn.shape == (5, 8, 8, 1)
    assert np.array_equal(drawn, projector.student(["3"]).sample(5, seed=1))
    assert not np.array_equal(drawn, projector.student(["4"]).sample(5, seed=1))


def test_the_report_says_bits_shows_drawn_images_and_how_long_drawing_takes(
    modeling_run: tuple[Path, str], data: Path
) -> None:
    _, shown = modeling_run
    page = (data / "08_reporting/report.html").read_text()
    timings = json.loads((data / "08_reporting/timings.json").read_text())
    assert "bits per token" in page
    assert "images that each model drew" in page
    assert timings["sampling"]["projected"]["median_ms"] > 0
    assert "digits: bits per token" in shown
    examples = json.loads((data / "08_reporting/examples.json").read_text())
    assert [len(example["cards"]) for example in examples] == [4] * 4  # what is shown of each task


def test_learning_rates_were_found_and_are_said(modeling_run: tuple[Path, str], data: Path) -> None:
    _, shown = modeling_run
    found = json.loads((data / "05_model_input/learning_rates.json").read_text())
    assert list(found) == main_methods()
    for method, described in found.items():
        scores = described["validation_scores"]
        assert len(scores) == 6
        assert scores[f"{described['learning_rate']:g}"] == min(scores.values())  # fewer bits are better
        assert f"learning rate of {method}: {described['learning_rate']:g} (" in shown
    assert shown.count("short run ") == (len(main_methods()) + 2) * 6  # and for two more rows of the comparison
    made = json.loads((data / "06_models/projector/manifest.json").read_text())["provenance"]
    assert made["parameters"]["learning_rates"] == "auto"
    assert made["learning_rate"] == found["projected"]["learning_rate"]


def test_a_comparison_is_in_bits_too(data: Path) -> None:
    page = (data / "08_reporting/comparison/main/comparison.md").read_text()
    assert "Bits per token, fewer are better" in page
    assert "sampling one image" in page


def test_what_its_page_tells_to_type_runs(modeling_run: tuple[Path, str], tmp_path: Path) -> None:
    type_all(IMAGE_MODELLING, modeling_run[0], tmp_path)
