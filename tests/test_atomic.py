"""What is written is there whole, or everything is as it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from projpipe.atomic import write_atomically


def write_folder(path: Path, names: list[str]) -> None:
    path.mkdir()
    for name in names:
        (path / name).write_text(name)


def fail_half_way(path: Path, write: Callable[[Path], object]) -> None:
    with write_atomically(path) as temporary:
        write(temporary)
        raise RuntimeError("disk")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_appears_when_the_body_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert files(tmp_path) == ["file"]


def test_what_another_program_made_meanwhile_is_kept(tmp_path: Path) -> None:
    def write_both(temporary: Path) -> None:
        temporary.write_text("new")
        (tmp_path / "file").write_text("another's")

    with pytest.raises(FileExistsError, match="meanwhile"), write_atomically(tmp_path / "file", replace=False) as path:
        write_both(path)
    assert (tmp_path / "file").read_text() == "another's"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_parents_are_made(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "one" / "other" / "file") as temporary:
        temporary.write_text("new")
    assert files(tmp_path) == ["one/other/file"]


@pytest.mark.parametrize("name", ["folder", "replaced", "mode"])  # the last two are words that atomic.py uses itself
def test_a_folder_is_replaced_whole(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path / name, ["old", "both"])
    with write_atomically(tmp_path / name) as temporary:
        write_folder(temporary, ["both", "new"])
        assert files(tmp_path / name) == ["both", "old"]
    assert files(tmp_path / name) == ["both", "new"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_stays_as_it_was_if_the_body_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk"):
        fail_half_way(path, lambda temporary: temporary.write_text("half"))
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_stays_as_it_was_if_the_body_fails(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", ["old"])
    with pytest.raises(RuntimeError, match="disk"):
        fail_half_way(tmp_path / "folder", lambda temporary: write_folder(temporary, ["half"]))
    assert files(tmp_path) == ["folder/old"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_nothing_is_left_where_there_was_nothing_if_the_body_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="disk"):
        fail_half_way(tmp_path / "file", lambda temporary: temporary.write_text("half"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_stays_as_it_was_if_the_body_writes_nothing(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", ["old"])
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "folder"):
        pass
    assert files(tmp_path) == ["folder/old"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_files_get_the_mode_that_new_files_have(kind: str, tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    with write_atomically(tmp_path / kind) as temporary:
        file = temporary
        if kind == "folder":
            write_folder(temporary, ["inside"])
            file = temporary / "inside"
        file.touch()
        file.chmod(0o600)  # as safetensors leaves it
    written = tmp_path / kind / "inside" if kind == "folder" else tmp_path / kind
    assert written.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
