"""Pictures of no class of a model: below its energy threshold `predict` says so, and `evaluate` counts them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from projpipe.images.noise import noise_images
from projpipe.images.pictures import find_pictures, read_picture
from projpipe.students.student import load_student

Command = Callable[..., Result]


def scores(model: Path, pictures: Path) -> dict[str, float]:
    """The logarithm of the mean of the exponentials of the logits, of every picture."""
    student = load_student(model)
    paths = find_pictures([str(pictures)])
    read = [read_picture(path, student.spec.image_size, grey=True) for path in paths]
    logits = student.logits(student.objective.encode(np.stack(read))).double()
    return dict(zip(map(str, paths), logits.exp().mean(-1).log().tolist(), strict=True))


@pytest.fixture
def careful(model: Path, pictures: Path, tmp_path: Path) -> Path:
    """The model with a threshold in the middle of the scores of the pictures."""
    threshold = float(np.mean(sorted(scores(model, pictures).values())[3:5]))
    replace(load_student(model), energy_threshold=threshold).save(tmp_path / "careful")
    return tmp_path / "careful"


def test_a_picture_below_the_threshold_is_none_of_these(careful: Path, pictures: Path, projpipe: Command) -> None:
    threshold = load_student(careful).energy_threshold
    assert threshold is not None
    expected = {path: score < threshold for path, score in scores(careful, pictures).items()}
    assert set(expected.values()) == {False, True}
    found = json.loads(projpipe("predict", careful, pictures, "--json").stdout)
    assert {one["image"]: one["none_of_these"] for one in found} == expected
    assert all(one["predictions"] for one in found)
    lines = projpipe("predict", careful, pictures).stdout.splitlines()
    assert sum("none of these" in line for line in lines) == sum(expected.values())
    every = json.loads(projpipe("predict", careful, pictures, "--json", "--no-unknown").stdout)
    assert not any(one["none_of_these"] for one in every)
    assert [one["predictions"] for one in every] == [one["predictions"] for one in found]


def test_evaluate_counts_them_among_its_own_and_among_others(careful: Path, pictures: Path, projpipe: Command) -> None:
    threshold = load_student(careful).energy_threshold
    below = {path: score < threshold for path, score in scores(careful, pictures).items()}
    of_others = [said for path, said in below.items() if "Coat" in path]
    of_own = [said for path, said in below.items() if "Coat" not in path]
    result = projpipe("evaluate", careful, pictures, "--others", pictures / "Coat", "--json")
    found = json.loads(result.stdout)
    expected = {"own": np.mean(of_own), "others": np.mean(of_others)}
    assert found["none_of_these"] == pytest.approx(expected, abs=1e-6)
    assert found["other_images"] == len(of_others) == 3
    whole = projpipe("evaluate", careful, pictures, "--others", pictures, "--json")
    assert json.loads(whole.stdout)["none_of_these"] == found["none_of_these"]
    assert "Left out 6 pictures of the model's own classes from the others." in whole.stderr
    own = projpipe("evaluate", careful, pictures, "--others", pictures / "Sneaker")
    assert own.exit_code == 2
    assert "are of classes of the model; give some of anything else" in own.stderr
    table = projpipe("evaluate", careful, pictures, "--others", pictures / "Coat").stdout
    assert f"{100 * expected['others']:.1f} %" in table.splitlines()[-1]


@pytest.mark.parametrize("classes", ["lion,tiger,wolf", "bicycle,bus,train", "bottle,bowl,cup"])
def test_models_of_the_projector_that_ships_take_noise_for_none(
    classes: str, tmp_path: Path, projpipe: Command
) -> None:
    assert projpipe("generate", "cifar100", "--classes", classes, "--out", tmp_path / "model").exit_code == 0
    (tmp_path / "noise").mkdir()
    for number, noise in enumerate(noise_images(50, (40, 40, 3), seed=7)):
        Image.fromarray(noise).save(tmp_path / f"noise/{number}.png")
    found = json.loads(projpipe("predict", tmp_path / "model", tmp_path / "noise", "--json").stdout)
    assert sum(one["none_of_these"] for one in found) >= 35


def test_a_model_without_a_threshold_cannot_tell(model: Path, pictures: Path, projpipe: Command) -> None:
    result = projpipe("evaluate", model, pictures, "--others", pictures / "Coat")
    assert result.exit_code == 2
    assert "has no energy threshold; make it anew, of a projector whose sizes" in result.stderr
    assert not any(one["none_of_these"] for one in json.loads(projpipe("predict", model, pictures, "--json").stdout))
