"""What is written is there whole, or everything is as it was."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from projpipe import atomic
from projpipe.atomic import tidy_up, write_atomically, write_resumably


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


@pytest.fixture(params=["exchanged", "one after the other"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a folder is replaced: in one step, or where the file system has none, in two."""
    if request.param != "exchanged":
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    return request.param


@pytest.mark.parametrize("name", ["folder", "replaced", "mode"])  # the last two are words that atomic.py uses itself
def test_a_folder_is_replaced_whole(name: str, way: str, tmp_path: Path) -> None:
    write_folder(tmp_path / name, ["old", "both"])
    with write_atomically(tmp_path / name) as temporary:
        write_folder(temporary, ["both", "new"])
        assert files(tmp_path / name) == ["both", "old"]
    assert files(tmp_path / name) == ["both", "new"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_to_a_folder_is_replaced_and_what_it_leads_to_stays(way: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", ["old"])
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with write_atomically(tmp_path / "link") as temporary:
        write_folder(temporary, ["new"])
    assert files(tmp_path) == ["elsewhere/old", "link/new"]
    (tmp_path / ".link.unfinished-1").symlink_to(tmp_path / "elsewhere")
    tidy_up(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "link"]


def test_a_long_name_with_a_dot_at_its_beginning_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"1. {'x' * 197}"
    with write_atomically(path) as temporary:
        write_folder(temporary, ["new"])
    assert files(path) == ["new"]


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


def test_a_folder_stays_as_it_was_if_the_body_writes_nothing(way: str, tmp_path: Path) -> None:
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


KILLED = """
import os, sys
from pathlib import Path
from projpipe import atomic
if sys.argv[2] != "exchanged":
    atomic._exchange = lambda *_: False
steps, at = 0, int(sys.argv[3])
def count(event, arguments):
    global steps
    if event in ("os.rename", "os.remove", "os.rmdir", "open", "ctypes.call_function") and armed:
        steps += 1
        if steps == at:
            os._exit(9)
armed = False
sys.addaudithook(count)
with atomic.write_atomically(Path(sys.argv[1]) / "folder") as temporary:
    temporary.mkdir()
    (temporary / "new").write_text("new")
    armed = True
armed = False
print("whole")
"""


def test_a_program_killed_at_any_step_leaves_the_old_folder_or_the_new_one(way: str, tmp_path: Path) -> None:
    ended = ""
    found = set()
    for step in range(1, 100):
        folder = tmp_path / str(step)
        folder.mkdir()
        write_folder(folder / "folder", ["old"])
        command = [sys.executable, "-c", KILLED, str(folder), way, str(step)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
        if way == "exchanged":
            assert (folder / "folder").exists()
        tidy_up(tmp_path)
        left = files(folder)
        assert left in (["folder/old"], ["folder/new"])
        found.add(left[0])
        if ended:
            break
    assert ended == "whole\n"
    assert found == {"folder/old", "folder/new"}


def test_what_was_made_until_the_disk_was_full_stays_and_what_failed_otherwise_goes(tmp_path: Path) -> None:
    def fail(name: str, number: int) -> None:
        with write_resumably(tmp_path / "folder", "key") as unfinished:
            (unfinished / name).touch()
            raise OSError(number, os.strerror(number))

    for name in ("one", "two"):
        with pytest.raises(OSError, match="No space"):
            fail(name, errno.ENOSPC)
    assert files(tmp_path) == [".folder.resumable/.key", ".folder.resumable/one", ".folder.resumable/two"]
    with pytest.raises(OSError, match="too large"):
        fail("three", errno.EFBIG)
    assert list(tmp_path.iterdir()) == []


def test_tidying_up_leaves_all_that_is_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", ["file"])
    (tmp_path / ".hidden").touch()
    tidy_up(tmp_path)
    assert files(tmp_path) == [".hidden", "folder/file"]
