"""`projpipe compare` measures models on the same pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from projpipe.metric import share_interval
from projpipe.projection.projector import Projector
from projpipe.students.elapsed import Elapsed

Command = Callable[..., Result]


@pytest.fixture
def other(projector: Projector, tmp_path: Path) -> Path:
    """A model that shares two classes with the first."""
    projector.student(["Greek/alpha", "Coat", "Sneaker"]).save(tmp_path / "other")
    return tmp_path / "other"


def test_each_is_judged_on_the_pictures_of_what_all_know(
    model: Path, other: Path, pictures: Path, projpipe: Command
) -> None:
    result = projpipe("compare", model, other, pictures, "--batch", 2, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["classes"] == ["Sneaker", "Greek/alpha"]
    assert (found["images"], found["left_out"], found["batch"], found["threads"]) == (6, 3, 2, 1)
    for folder, one in zip((model, other), found["models"], strict=True):
        said = json.loads(projpipe("predict", folder, pictures, "--top", 1, "--json").stdout)
        right = [
            each["predictions"][0]["class"] == Path(each["image"]).parent.relative_to(pictures).as_posix()
            for each in said
            if "Coat" not in each["image"]
        ]
        assert one["accuracy"] == pytest.approx(sum(right) / 6, abs=1e-6)
        assert one["interval"] == pytest.approx(share_interval(sum(right) / 6, 6), abs=1e-6)
        described = json.loads(projpipe("inspect", folder, "--json").stdout)
        assert (one["model"], one["parameters"]) == (str(folder), described["parameters"])
        assert one["bytes"] == (folder / "model.safetensors").stat().st_size
        assert 0.01 < one["latency_ms"] < 1000
    assert "6 pictures of what all models know: Sneaker, Greek/alpha." in result.stderr
    assert "Left out, as not all models know them: Bag, Coat." in result.stderr


def test_the_table_has_a_line_for_each(model: Path, other: Path, pictures: Path, projpipe: Command) -> None:
    header, *lines = projpipe("compare", model, other, pictures).stdout.splitlines()
    assert header.split("  ")[0] == "model"
    assert [line.split()[0] for line in lines] == [str(model), str(other)]


def test_beside_other_programs_latency_is_a_range(
    model: Path, other: Path, pictures: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Elapsed(median_ms=3.21, undisturbed_ms=1.05)
    monkeypatch.setattr("projpipe.students.stopwatch.time_of", lambda *arguments: busy)
    result = projpipe("compare", model, other, pictures)
    assert result.stdout.count("  1.05 to 3.21 ms  ") == 2
    assert "Other programs ran meanwhile: latency is a range" in result.stderr
    for one in json.loads(projpipe("compare", model, other, pictures, "--json").stdout)["models"]:
        assert (one["latency_ms"], one["undisturbed_ms"]) == (3.21, 1.05)


def test_models_without_a_class_in_common_are_refused(
    projector: Projector, model: Path, pictures: Path, projpipe: Command
) -> None:
    projector.student(["Coat", "T-shirt"]).save(model.parent / "apart")
    result = projpipe("compare", model, model.parent / "apart", pictures)
    assert result.exit_code == 2
    assert "these models have no class in common; compare those that have" in result.stderr


def test_a_picture_that_cannot_be_read_is_named_once(
    model: Path, other: Path, pictures: Path, projpipe: Command
) -> None:
    (pictures / "Sneaker/1.png").write_bytes(b"")
    result = projpipe("compare", model, other, pictures, "--json")
    assert (result.exit_code, json.loads(result.stdout)["images"]) == (2, 5)
    assert result.stderr.count("Error: ") == 1
