"""`projpipe evaluate` of a model's ONNX files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from projpipe.commands.classify import of_onnx
from projpipe.manifest import INT8, ONNX
from projpipe.students.student import load_student

Command = Callable[..., Result]


@pytest.fixture
def with_onnx(folder: Path, tmp_path: Path, projpipe: Command) -> Path:
    out = tmp_path / "model"
    asked = ["--classes", "Sneaker,Greek/alpha,Coat", "--onnx", "--quantize", "int8"]
    assert projpipe("generate", folder, *asked, "--out", out).exit_code == 0
    return out


def test_the_onnx_file_is_judged_and_not_the_model(with_onnx: Path, pictures: Path, projpipe: Command) -> None:
    expected = json.loads(projpipe("evaluate", with_onnx, pictures, "--json").stdout)
    assert json.loads(projpipe("evaluate", with_onnx, pictures, "--json", "--format", "onnx").stdout) == expected
    # Of another model, so that what is right differs.
    other = with_onnx.parent / "other"
    asked = ["--classes", "Greek/alpha,Coat,Sneaker", "--quantize", "int8", "--out", other]
    assert projpipe("generate", with_onnx.parent / "projector", *asked).exit_code == 0
    (other / INT8).replace(with_onnx / INT8)
    found = json.loads(projpipe("evaluate", with_onnx, pictures, "--json", "--format", "int8").stdout)
    assert found["classes"] != expected["classes"]


def test_int8_answers_nearly_as_the_model_does(with_onnx: Path, images: object) -> None:
    student = load_student(with_onnx)
    batch = student.objective.blank(3)
    off = (of_onnx(student, with_onnx / INT8).logits(batch) - student.logits(batch)).abs().max()
    assert 0 < off < 0.1 * student.logits(batch).std()


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"no ONNX", "cannot be read as ONNX")])
def test_a_file_that_is_not_there_or_is_none_is_refused(
    content: bytes | None, said: str, with_onnx: Path, pictures: Path, projpipe: Command
) -> None:
    (with_onnx / ONNX).unlink()
    if content is not None:
        (with_onnx / ONNX).write_bytes(content)
    result = projpipe("evaluate", with_onnx, pictures, "--format", "onnx")
    assert result.exit_code == 2
    assert said in result.stderr
    assert "`projpipe generate` makes it with --onnx or --quantize int8" in result.stderr
    assert len(result.stderr.splitlines()) == 1
