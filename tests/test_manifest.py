"""A manifest vouches for the files of its folder, and nothing is opened that may never end."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from projpipe.errors import InputError
from projpipe.manifest import CARD, MANIFEST, kind_of, manifest_bytes, read_manifest
from projpipe.record import LARGEST


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, of which a card is one."""
    files = {"a.bin": b"a", CARD: b"# A"}
    for name, content in {**files, MANIFEST: manifest_bytes("model", {"size": 1}, files)}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def read(folder: Path) -> dict[str, Any]:
    return read_manifest(folder, "model", ["a.bin"], "mend it")


def test_what_is_described_comes_back(folder: Path) -> None:
    assert read(folder) == {"size": 1}


@pytest.mark.parametrize("name", ["a.bin", CARD])
def test_a_changed_file_is_named_and_so_is_the_card(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"b")
    with pytest.raises(InputError, match=rf"{name} is truncated or was changed: its checksum differs; mend it"):
        read(folder)


def test_a_card_that_an_older_manifest_does_not_know_is_not_looked_at(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(manifest_bytes("model", {"size": 1}, {"a.bin": b"a"}))
    (folder / CARD).write_bytes(b"anything")
    assert read(folder) == {"size": 1}


@pytest.mark.parametrize("name", ["a.bin", CARD, MANIFEST])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "dangling link"])
def test_only_regular_files_are_opened(kind: str, name: str, folder: Path) -> None:
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    with pytest.raises(InputError, match=rf"is no model: .*{name}.*; mend it"):
        read(folder)
    assert kind_of(folder) == (None if name == MANIFEST else "model")


def test_a_manifest_that_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(InputError, match=r"model: its manifest\.json of .* bytes is larger than"):
        manifest_bytes("model", {"names": "x" * LARGEST}, {})


def test_a_number_that_is_none_is_refused_though_its_checksum_fits(folder: Path) -> None:
    files = {name: (folder / name).read_bytes() for name in ("a.bin", CARD)}
    (folder / MANIFEST).write_bytes(manifest_bytes("model", {"size": float("nan")}, files))
    assert "NaN" in (folder / MANIFEST).read_text()
    assert json.loads((folder / MANIFEST).read_text())["kind"] == "model"
    with pytest.raises(InputError, match="is no model: NaN is not a number; mend it"):
        read(folder)
