"""Pictures that cannot be read are named, and stop no others."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Command = Callable[..., Result]


def a_thousand(pictures: Path) -> Path:
    """1,000 pictures of a class of the model, of which one is broken."""
    for number in range(3, 1000):
        os.link(pictures / "Sneaker/0.png", pictures / f"Sneaker/{number:04}.png")
    (pictures / "Sneaker/0500.png").unlink()
    (pictures / "Sneaker/0500.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return pictures / "Sneaker"


def test_one_bad_picture_among_a_thousand_is_named_and_the_others_are_answered(
    model: Path, pictures: Path, projpipe: Command
) -> None:
    folder = a_thousand(pictures)
    result = projpipe("predict", model, folder, "--json")
    assert result.exit_code == 2
    answered = [Path(one["image"]).name for one in json.loads(result.stdout)]
    assert answered == sorted({path.name for path in folder.iterdir()} - {"0500.png"})
    assert len(answered) == 999
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert re.match(r"Error: .*/0500\.png: is no image .*; leave it out or replace it$", errors[0])


def test_a_name_of_nothing_among_many_is_named_and_the_others_are_answered(
    model: Path, pictures: Path, projpipe: Command
) -> None:
    one = pictures / "Sneaker/1.png"
    result = projpipe("predict", model, one, "missing.png", "--json")
    assert result.exit_code == 2
    assert [found["image"] for found in json.loads(result.stdout)] == [str(one)]
    assert result.stderr.startswith("Error: 'missing.png': there is no such file or folder; give")
    for given in ([one, "missing.png", "--strict"], ["missing.png", "gone.png"]):
        result = projpipe("predict", model, *given)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "'missing.png': there is no such file or folder" in result.stderr


def test_strict_stops_at_the_first_bad_picture(model: Path, pictures: Path, projpipe: Command) -> None:
    (pictures / "Sneaker/1.png").write_bytes(b"")
    for command in ("predict", "evaluate"):
        result = projpipe(command, model, pictures, "--strict")
        assert (result.exit_code, result.stdout) == (2, "")
        assert re.match(r"Error: .*/1\.png: is no image of a known format; leave it out or replace it$", result.stderr)


def test_a_picture_that_cannot_be_read_does_not_count(model: Path, pictures: Path, projpipe: Command) -> None:
    whole = json.loads(projpipe("evaluate", model, pictures, "--json").stdout)
    (pictures / "Sneaker/3.png").write_bytes(b"")
    result = projpipe("evaluate", model, pictures, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {**whole, "unreadable": 1}
    assert "Error: " in result.stderr
    assert "3.png: is no image of a known format" in result.stderr
    for path in pictures.rglob("*.png"):
        path.write_bytes(b"")
    result = projpipe("evaluate", model, pictures)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no picture of a class of the model can be read, such as" in result.stderr


def test_a_pipe_is_not_waited_for(model: Path, tmp_path: Path, projpipe: Command) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    result = projpipe("predict", model, tmp_path / "pipe.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pipe.png: is no image that can be read (pipe.png is no regular file)" in result.stderr
