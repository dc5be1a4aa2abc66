"""`projpipe predict` and `projpipe evaluate` say what timm says of the same pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import Result
from PIL import Image

Command = Callable[..., Result]


def by_timm(model: Path, picture: Path) -> dict[str, float]:
    """Probabilities by timm's own transform and model, from the folder alone."""
    loaded = timm.create_model(f"local-dir:{model}", pretrained=True).eval()
    settings = timm.data.resolve_model_data_config(loaded)
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.inference_mode():
        probabilities = loaded(transform(Image.open(picture).convert("L"))[None])[0].softmax(-1)
    return dict(zip(loaded.pretrained_cfg["label_names"], probabilities.tolist(), strict=True))


def test_predictions_are_those_of_timm_from_the_folder_alone(model: Path, tmp_path: Path, projpipe: Command) -> None:
    square = tmp_path / "square.png"
    grey = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(grey).save(square)
    result = projpipe("predict", model, square, "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.output)
    expected = by_timm(model, square)
    assert found["image"] == str(square)
    assert {one["class"]: one["probability"] for one in found["predictions"]} == pytest.approx(expected, abs=1e-5)
    assert [one["class"] for one in found["predictions"]] == sorted(expected, key=expected.__getitem__, reverse=True)


def test_folders_patterns_and_files_are_read_in_order(model: Path, pictures: Path, projpipe: Command) -> None:
    named = [pictures / "Greek", pictures / "*/1.png", pictures / "Coat/2.png"]
    result = projpipe("predict", model, *named, "--json", "--top", 1)
    found = [str(Path(one["image"]).relative_to(pictures)) for one in json.loads(result.output)]
    assert found == [
        "Greek/alpha/0.png",
        "Greek/alpha/1.png",
        "Greek/alpha/2.png",
        "Coat/1.png",
        "Sneaker/1.png",
        "Coat/2.png",
    ]
    assert all(len(one["predictions"]) == 1 for one in json.loads(result.output))


def test_a_table_has_a_line_for_every_picture(model: Path, pictures: Path, projpipe: Command) -> None:
    lines = projpipe("predict", model, pictures / "Coat", "--top", 2).output.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(str(pictures / "Coat")) and line.count(" %") == 2 for line in lines)


def test_accuracy_is_the_share_that_predict_gets_right(model: Path, pictures: Path, projpipe: Command) -> None:
    predicted = json.loads(projpipe("predict", model, pictures, "--json", "--top", 1).output)
    right = {"Sneaker": 0, "Greek/alpha": 0}
    for one in predicted:
        name = Path(one["image"]).parent.relative_to(pictures).as_posix()
        if name in right:
            right[name] += one["predictions"][0]["class"] == name
    result = projpipe("evaluate", model, pictures, "--json")
    found = json.loads(result.stdout)
    assert found["images"] == 6
    assert found["left_out"] == 3
    assert found["accuracy"] == pytest.approx(sum(right.values()) / 6, abs=1e-6)
    assert {name: one["accuracy"] for name, one in found["classes"].items()} == pytest.approx(
        {name: count / 3 for name, count in right.items()}, abs=1e-6
    )
    assert "No picture of Bag." in result.stderr
    assert "Left out 3 pictures of other classes." in result.stderr


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def bomb(path: Path) -> None:
    Image.new("1", (15_000, 15_000)).save(path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("not.png", lambda path: path.write_text("no image"), "is no image of a known format"),
        ("program.png", lambda path: path.write_text(EPS), "is no image of a known format"),
        ("cut.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "is no image"),
        ("bomb.png", bomb, "decompression bomb"),
        ("none.png", lambda path: None, "there is no such file or folder"),
        ("empty", lambda path: path.mkdir(), "holds no image that Pillow reads"),
        ("x*.png", lambda path: None, "there is no such file or folder"),
        ("a" * 300, lambda path: None, "cannot be read"),
    ],
)
def test_what_is_no_picture_is_refused(
    name: str, make: Callable, message: str, model: Path, tmp_path: Path, projpipe: Command
) -> None:
    make(tmp_path / name)
    result = projpipe("predict", model, tmp_path / name)
    assert result.exit_code == 2
    assert name in result.stderr
    assert message in result.stderr
    assert result.stdout == ""


def test_a_projector_is_no_model(folder: Path, pictures: Path, projpipe: Command) -> None:
    result = projpipe("predict", folder, pictures)
    assert result.exit_code == 2
    assert "is a projector and no model; make a model of it with `projpipe generate`" in result.stderr


def test_a_name_that_is_empty_is_refused(model: Path, projpipe: Command) -> None:
    result = projpipe("predict", model, "")
    assert result.exit_code == 2
    assert "'': there is no such file or folder" in result.stderr


def test_a_model_that_was_changed_is_refused(model: Path, pictures: Path, projpipe: Command) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    for command in ("predict", "evaluate"):
        result = projpipe(command, model, pictures)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "its checksum differs" in result.stderr


def test_a_folder_without_the_models_classes_is_refused(model: Path, pictures: Path, projpipe: Command) -> None:
    result = projpipe("evaluate", model, pictures / "Greek")
    assert result.exit_code == 2
    assert "no folder named after a class of the model (Sneaker, Bag, Greek/alpha); it has alpha" in result.stderr
