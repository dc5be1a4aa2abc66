"""`projpipe predict` and `projpipe evaluate` say what timm says of the same pictures."""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner, Result
from PIL import Image

from projpipe.commands import classify
from projpipe.commands.main import main
from projpipe.commands.output import unquote_cell
from projpipe.projection.projector import Projector
from projpipe.students.student import load_student

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


def test_a_line_a_picture_says_what_json_says(model: Path, pictures: Path, projpipe: Command) -> None:
    expected = json.loads(projpipe("predict", model, pictures, "--top", 2, "--json").stdout)
    lines = projpipe("predict", model, pictures, "--top", 2, "--format", "jsonl", "--batch-size", 2).stdout.splitlines()
    assert [json.loads(line) for line in lines] == expected
    found = projpipe("predict", model, pictures, "--top", 2, "--format", "csv").stdout
    header, *rows = csv.reader(io.StringIO(found))
    assert header == ["image", "none_of_these", "class_1", "probability_1", "class_2", "probability_2"]
    assert [[row[0], row[1] == "true", [row[2], float(row[3])], [row[4], float(row[5])]] for row in rows] == [
        [one["image"], one["none_of_these"], *([each["class"], each["probability"]] for each in one["predictions"])]
        for one in expected
    ]


def test_no_cell_is_obeyed_by_a_spreadsheet(
    projector: Projector, tmp_path: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = replace(projector, data={**projector.data, "classes": ["=1+1", *projector.data["classes"][1:]]})
    named.student(["=1+1", "Bag"]).save(tmp_path / "risky")
    Image.new("L", (8, 8)).save(tmp_path / "@sum.png")
    monkeypatch.chdir(tmp_path)
    found = projpipe("predict", "risky", "@sum.png", "--format", "csv").stdout
    _, row = csv.reader(io.StringIO(found))
    assert not [cell for cell in row if cell[0] in "=+-@"]
    assert {"@sum.png", "=1+1", "Bag"} <= {unquote_cell(cell) for cell in row}


def test_paths_come_from_standard_input_one_a_line(model: Path, pictures: Path, projpipe: Command) -> None:
    listed = [pictures / "Coat/1.png", pictures / "no such.png", pictures / "Sneaker/0.png"]
    asked = ["predict", str(model), "-", "--format", "jsonl"]
    result = CliRunner().invoke(main, asked, input="".join(f"{path}\n" for path in listed) + "\n")
    assert result.exit_code == 2
    assert [json.loads(line)["image"] for line in result.stdout.splitlines()] == [str(listed[0]), str(listed[2])]
    assert "no such.png: is no image that can be read" in result.stderr
    nothing = CliRunner().invoke(main, asked, input="\n")
    assert nothing.exit_code == 2
    assert "-: standard input names no picture; give paths, one a line" in nothing.stderr


def test_lines_are_printed_while_later_pictures_are_still_to_be_read(
    model: Path, pictures: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed, read = [], classify.read_picture

    def watched(*arguments: object, **more: object) -> np.ndarray:
        printed.append(sys.stdout.buffer.getvalue().count(b"\n"))
        return read(*arguments, **more)

    monkeypatch.setattr(classify, "read_picture", watched)
    result = projpipe("predict", model, pictures, "--format", "jsonl", "--batch-size", 3)
    assert result.exit_code == 0, result.output
    assert printed == 3 * [0] + 3 * [3] + 3 * [6]


@pytest.mark.parametrize(
    ("terminal", "batch_size", "quiet", "shown"),
    [(True, 2, False, "predict  ["), (True, 9, False, ""), (True, 2, True, ""), (False, 2, False, "")],
)
def test_progress_is_shown_on_a_terminal_alone_where_there_are_several_batches(
    terminal: bool,
    batch_size: int,
    quiet: bool,
    shown: str,
    model: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", screen)
    paths = sorted(pictures.rglob("*.png"))
    assert len(list(classify.classify(model, load_student(model), paths, "predict", False, batch_size, quiet))) == 9
    assert shown in screen.getvalue()
    assert bool(screen.getvalue()) == bool(shown)


def test_a_device_that_is_not_there_is_refused(model: Path, pictures: Path, projpipe: Command) -> None:
    for name in ("nowhere", "meta", "cuda:99"):
        result = projpipe("predict", model, pictures, "--device", name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"--device: {name!r} is not there" in result.stderr
    here = projpipe("predict", model, pictures, "--device", "cpu", "--json")
    assert here.stdout == projpipe("predict", model, pictures, "--json").stdout


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def bomb(path: Path) -> None:
    Image.new("1", (15_000, 15_000)).save(path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("not.png", lambda path: path.write_text("no image"), "is no image of a known format"),
        ("program.png", lambda path: path.write_text(EPS), "is no image of a known format"),
        ("cut.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "is no image"),
        ("bomb.png", bomb, "(it has more than 89,478,485 pixels, and may be made to fill the memory); leave it out"),
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


def test_a_model_whose_answers_are_no_numbers_is_refused(
    projector: Projector, pictures: Path, projpipe: Command
) -> None:
    student, model = projector.student(["Sneaker", "Bag"]), pictures.parent / "large"
    replace(student, weights={name: torch.full_like(one, 3e38) for name, one in student.weights.items()}).save(model)
    for arguments in (["predict"], ["predict", "--json"], ["evaluate"]):
        result = projpipe(*arguments, model, pictures)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"Error: {model}: an answer of this model is infinite or no number" in result.stderr


def test_a_folder_without_the_models_classes_is_refused(model: Path, pictures: Path, projpipe: Command) -> None:
    result = projpipe("evaluate", model, pictures / "Greek")
    assert result.exit_code == 2
    assert "no folder named after a class of the model (Sneaker, Bag, Greek/alpha); it has alpha" in result.stderr


RED, WRITTEN = "\x1b[31mred\x9b\u202e", r"\x1b[31mred\x9b\u202e"


@pytest.fixture
def red(projector: Projector, tmp_path: Path) -> Path:
    """The folder of a model that has a class whose name would change a terminal."""
    classes = [RED, *projector.data["classes"][1:]]
    named = replace(projector, data={**projector.data, "classes": classes})
    named.student([RED, "Bag"]).save(tmp_path / "red")
    return tmp_path / "red"


def test_no_name_reaches_a_terminal_with_what_changes_it(
    red: Path, pictures: Path, tmp_path: Path, projpipe: Command
) -> None:
    (pictures / "Coat").rename(pictures / "Bag")
    (pictures / "Sneaker").rename(pictures / RED)
    for arguments in (["predict", red, pictures], ["evaluate", red, pictures], ["inspect", red]):
        result = projpipe(*arguments)
        assert result.exit_code == 0, result.output
        assert WRITTEN in result.output
        assert result.output.replace("\n", "").isprintable()
        as_json = projpipe(*arguments, "--json")
        assert as_json.stdout.replace("\n", "").isprintable()
        assert RED in json_texts(as_json.stdout)
    for path in (pictures / RED).iterdir():
        path.unlink()
    result = projpipe("evaluate", red, pictures)
    assert f"No picture of {WRITTEN}." in result.stderr
    assert RED not in projpipe("predict", red, pictures / RED).output


def json_texts(content: str) -> set[str]:
    """Every text of a JSON document, and every part of a path among them."""
    found: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for one in (*value, *value.values()):
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, str):
            found.update((value, *Path(value).parts))

    walk(json.loads(content))
    return found
