"""A name that does not exist is answered with those it may stand for."""

import os
from pathlib import Path

import pytest

from projpipe.errors import LONGEST, InputError, causes, did_you_mean, disk_problem, printable

FRUIT = ["apple", "apples", "pear", "plum"]


@pytest.mark.parametrize(
    ("wrong", "asked", "hint"),
    [
        ("aple", {}, "did you mean 'apple'?"),
        ("aple", {"count": 2}, "did you mean 'apple' or 'apples'?"),
        ("xyz", {}, "there is fruit"),
        ("applxyz", {"cutoff": 0.8}, "there is fruit"),
        ("xyz", {"cutoff": 0.0, "count": 4}, "did you mean"),
        (None, {}, "there is fruit"),
    ],
)
def test_the_nearest_names_are_given_where_there_are_any(wrong: object, asked: dict[str, float], hint: str) -> None:
    assert did_you_mean(wrong, iter(FRUIT), "there is fruit", **asked).startswith(hint)


def test_the_causes_of_an_error_are_told_from_the_last_to_the_first() -> None:
    last, second, first = RuntimeError("last"), InputError("second"), OSError("first")
    last.__cause__, second.__cause__ = second, first
    assert list(causes(last)) == [last, second, first]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_full_disk_is_named_whoever_passes_it_on(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as full, open("/dev/full", "w") as file:
        file.write("text")
    said = disk_problem(full.value, tmp_path / "data")
    assert said is not None
    assert said.startswith(f"{tmp_path}/data: the disk /")
    assert said.endswith(" MB are free); make room, and run the same command again")
    assert disk_problem(RuntimeError(f"in a worker: {full.value}"), tmp_path / "data") == said


def test_a_folder_that_cannot_be_written_is_named_and_other_errors_are_none_of_the_disk(tmp_path: Path) -> None:
    forbidden = PermissionError(13, os.strerror(13), "data/file")
    assert disk_problem(forbidden, tmp_path) == (
        "data/file: cannot be opened or written (Permission denied); allow it, or use another folder"
    )
    for error in (PermissionError(13, os.strerror(13)), FileNotFoundError(2, "no", "file"), ValueError("other")):
        assert disk_problem(error, tmp_path) is None


def test_a_message_is_one_short_line_that_ends_with_its_mend_whatever_it_quotes() -> None:
    message = str(InputError(f"here: {'x' * 10**6!r} is wrong:\n  \x1b[31mred\x9b\u202e; mend it"))
    assert len(message) == LONGEST
    assert message.startswith("here: 'xxx")
    assert message.endswith(r"xx' is wrong: \x1b[31mred\x9b\u202e; mend it")


def test_a_message_of_usual_length_stays_as_it_is() -> None:
    message = "split_tasks.source.root: there is no folder /größe  1/名; give one"
    assert str(InputError(message)) == message


def test_a_name_of_a_megabyte_has_a_nearest_one_at_once() -> None:
    assert did_you_mean("x" * 10**6, ["xx", "y"], "there is y") == "there is y"


def test_what_would_change_a_terminal_is_written_out() -> None:
    assert printable("a\x1b]0;b\a\r\udcff名") == r"a\x1b]0;b\x07\r\udcff名"
