"""`projpipe sample`, and what image models and classifiers refuse of each other."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import Result
from PIL import Image

from projpipe.projection.projector_folder import load_projector
from projpipe.students.student import load_student
from projpipe.transformer.sampling import sample

Command = Callable[..., Result]


@pytest.fixture
def image_model(image_projector: Path, tmp_path: Path, projpipe: Command) -> Path:
    """A model of one class."""
    result = projpipe("generate", image_projector, "--classes", "b", "--out", tmp_path / "image_model")
    assert result.exit_code == 0, result.output
    return tmp_path / "image_model"


def test_a_folder_of_pictures_holds_what_the_model_draws(image_model: Path, tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("sample", image_model, "--out", tmp_path / "drawn", "--count", 12, "--seed", 5)
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "drawn").iterdir())
    assert [file.name for file in files] == [f"{number:02}.png" for number in range(1, 13)]
    expected = load_student(image_model).sample(12, seed=5)
    assert np.array_equal(np.stack([np.asarray(Image.open(file)) for file in files]), expected[..., 0])


def test_a_sheet_holds_them_enlarged(image_model: Path, tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("sample", image_model, "--out", tmp_path / "drawn.png", "--count", 3, "--temperature", 0.5)
    assert result.exit_code == 0, result.output
    sheet = np.asarray(Image.open(tmp_path / "drawn.png"))
    drawn = load_student(image_model).sample(3, seed=0, temperature=0.5)
    assert sheet.shape == (32 * 6, 32 * 6)
    assert np.array_equal(sheet[: 32 * 2 : 32, 32 * 4 :: 32], drawn[1, ..., 0])
    assert (sheet[32 * 4 :, 32 * 4 :] == 128).all()


def test_json_says_what_was_drawn(image_model: Path, tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("sample", image_model, "--out", tmp_path / "drawn", "--count", 2, "--seed", 5, "--json")
    found = {"out": str(tmp_path / "drawn"), "classes": ["b"], "count": 2, "seed": 5, "temperature": 1.0}
    assert json.loads(result.stdout) == found


def test_the_folder_is_a_stock_timm_model_that_draws_the_same(image_model: Path) -> None:
    student, stock = load_student(image_model), timm.create_model(f"local-dir:{image_model}", pretrained=True).eval()
    symbols = sample(student.spec, student.weights, 4, seed=0)
    with torch.inference_mode():
        said = student.objective.logits(stock, symbols)
    torch.testing.assert_close(said, student.logits(symbols), atol=1e-5, rtol=1e-5)


def test_the_card_and_inspect_say_what_the_model_is(
    image_model: Path, image_projector: Path, projpipe: Command
) -> None:
    card = (image_model / "README.md").read_text()
    assert "draws images of 1 class, symbol after symbol" in card
    assert "| bits per pixel of the teacher on test images, told the class | 1.7000 |" in card
    shown = projpipe("inspect", image_model).output
    assert "2 x 2 tokens of 3 symbols" in shown
    assert "bits per pixel on validation tasks  1.7500" in shown
    found = projpipe("inspect", image_projector, "--json").output
    assert '"objective": "image_modeling"' in found


def test_a_support_set_is_for_classifiers(image_projector: Path) -> None:
    with pytest.raises(ValueError, match="support_images: are for classifiers"):
        load_projector(image_projector).generate(support_images=np.zeros((2, 2, 2, 1), np.uint8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "0"], "temperature: 0 is not a number above 1e-30"),
        (["--temperature", "nan"], "temperature: nan is not a number above 1e-30"),
        (["--seed", str(2**63)], "is not in the range"),
        (["--top-k", "4"], "top_k: 4 is not in 1..3"),
        (["--count", "0"], "0 is not in the range"),
    ],
)
def test_values_out_of_range_write_nothing(
    arguments: list[str], message: str, image_model: Path, tmp_path: Path, projpipe: Command
) -> None:
    result = projpipe("sample", image_model, "--out", tmp_path / "drawn", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "drawn").exists()


def test_a_model_whose_logits_are_no_numbers_is_refused(image_model: Path, tmp_path: Path, projpipe: Command) -> None:
    student = load_student(image_model)
    huge = {name: torch.full_like(one, 3e38) for name, one in student.weights.items()}
    for of in (huge, {**student.weights, "head.weight": huge["head.weight"]}):
        replace(student, weights=of).save(tmp_path / "large")
        result = projpipe("sample", tmp_path / "large", "--out", tmp_path / "drawn")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"Error: {tmp_path}/large: an answer of this model is infinite or no number")
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "drawn").exists()


def test_pictures_that_a_person_put_there_are_kept(image_model: Path, tmp_path: Path, projpipe: Command) -> None:
    (tmp_path / "own").mkdir()
    for path in ("own/1.png", "own.png"):
        Image.new("L", (4, 4)).save(tmp_path / path)
    for out in ("own", "own.png"):
        result = projpipe("sample", image_model, "--out", tmp_path / out, "--force")
        assert result.exit_code == 2
        assert "is not what `projpipe sample` wrote" in result.output
    assert Image.open(tmp_path / "own/1.png").size == (4, 4)


def test_a_path_that_is_named_like_another_kind_of_file_is_refused(
    image_model: Path, tmp_path: Path, projpipe: Command
) -> None:
    result = projpipe("sample", image_model, "--out", tmp_path / "drawn.jpg")
    assert result.exit_code == 2
    assert "end it in .png" in result.output


def test_a_projector_draws_nothing_itself(image_projector: Path, tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("sample", image_projector, "--out", tmp_path / "drawn")
    assert result.exit_code == 2
    assert "is a projector and no model; make a model of it with `projpipe generate`" in result.output


def test_a_classifier_draws_nothing(model: Path, tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("sample", model, "--out", tmp_path / "drawn")
    assert result.exit_code == 2
    assert "tells classes apart and draws no images" in result.output


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_an_image_model_tells_nothing_apart(command: str, image_model: Path, pictures: Path, projpipe: Command) -> None:
    result = projpipe(command, image_model, pictures)
    assert result.exit_code == 2
    assert "does not tell classes apart" in result.output


def test_an_image_model_is_not_written_as_onnx(image_projector: Path, tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("generate", image_projector, "--classes", "a", "--out", tmp_path / "m", "--onnx")
    assert result.exit_code == 2
    assert "--onnx: is for classifiers" in result.output
    assert not (tmp_path / "m").exists()


def test_what_is_there_is_replaced_only_with_force_and_only_if_it_was_drawn(
    image_model: Path, tmp_path: Path, projpipe: Command
) -> None:
    out = tmp_path / "drawn"
    assert projpipe("sample", image_model, "--out", out, "--count", 2).exit_code == 0
    refused = projpipe("sample", image_model, "--out", out, "--count", 3)
    assert refused.exit_code == 2
    assert "exists; choose another path" in refused.output
    assert projpipe("sample", image_model, "--out", out, "--count", 3, "--force").exit_code == 0
    assert len(list(out.iterdir())) == 3
    (out / "mine.txt").write_text("mine")
    kept = projpipe("sample", image_model, "--out", out, "--force")
    assert kept.exit_code == 2
    assert "is not what `projpipe sample` wrote" in kept.output
    assert (out / "mine.txt").exists()
