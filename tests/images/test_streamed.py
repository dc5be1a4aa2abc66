"""Streamed images are the packed ones, read when they are asked for."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from makers import read_folder
from projpipe.config import SplitFractions
from projpipe.errors import InputError
from projpipe.images.index import build_index, check_images, describe
from projpipe.images.raw import RawImages
from projpipe.images.stored import read_images, write_images
from projpipe.images.streamed import StreamedImages

FRACTIONS = SplitFractions(validation=0.2, test=0.2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Coloured JPEGs of two classes, upright and across, some larger and some smaller than they are read."""
    rng = np.random.default_rng(0)
    for number in range(10):
        folder = tmp_path / "root" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((9 + 7 * number, 40 - 3 * number)).save(folder / f"{number}.jpg")
    return tmp_path / "root"


def both(root: Path, grey: bool = False) -> tuple[RawImages, RawImages]:
    return read_folder(root, 16, grey), read_folder(root, 16, grey, storage="streamed")


@pytest.mark.parametrize("grey", [False, True])
def test_their_pixels_and_classes_are_those_of_packed_images(root: Path, grey: bool) -> None:
    packed, streamed = both(root, grey)
    assert isinstance(streamed.images, StreamedImages)
    assert (streamed.images.shape, streamed.images.dtype) == (packed.images.shape, packed.images.dtype)
    assert len(streamed.images) == 10
    assert np.array_equal(streamed.images[:], packed.images)
    assert np.array_equal(streamed.class_ids, packed.class_ids)
    assert streamed.classes == packed.classes


@pytest.mark.parametrize(
    "rows",
    [3, -1, slice(2, 9, 3), np.array([4, 4, 0]), np.array([], int), np.arange(10) % 3 == 0, 10, np.array([11])],
    ids=str,
)
def test_rows_are_picked_as_those_of_an_array(root: Path, rows: Any) -> None:
    packed, streamed = both(root)
    try:
        expected = packed.images[rows]
    except IndexError:
        with pytest.raises(IndexError):
            streamed.images[rows]
        return
    found = streamed.images[rows]
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


def test_nothing_is_decoded_before_it_is_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr("projpipe.images.streamed.decode", lambda content, *_: decoded.append(content) or 0)
    some = read_folder(root, 16, grey=False, storage="streamed").first(4)
    assert (len(some.images), decoded) == (8, [])
    some.images[np.array([6, 1])]
    assert len(decoded) == 2


def test_the_first_images_of_every_class_are_those_of_packed_ones(root: Path) -> None:
    packed, streamed = (raw.first(3) for raw in both(root))
    assert np.array_equal(streamed.images[:], packed.images)


def test_they_are_described_like_packed_ones_but_for_the_hash(root: Path) -> None:
    cards = [describe("folder", raw, build_index(raw, FRACTIONS, 0), []) for raw in both(root)]
    hashes = [card.sha256 for card in cards]
    assert replace(cards[0], sha256=hashes[1]) == cards[1]
    assert hashes[0] != hashes[1]


def test_the_hash_is_of_the_files_and_of_how_they_are_read(root: Path) -> None:
    def sha256(image_size: int = 16) -> str:
        raw = read_folder(root, image_size, grey=False, storage="streamed")
        return describe("folder", raw, build_index(raw, FRACTIONS, 0), []).sha256

    before = sha256()
    assert before == sha256()
    assert before != sha256(15)
    Image.new("RGB", (20, 20)).save(root / "b/9.jpg")
    assert before != sha256()


def test_a_file_that_is_no_picture_is_left_out_and_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "a/broken.jpg").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        raw = read_folder(root, 16, grey=False, storage="streamed")
    assert raw.unreadable == ("a/broken.jpg",)
    assert len(raw.images) == len(raw.class_ids) == 10
    assert "Skipped 1 of 11 images that cannot be read: a/broken.jpg" in caplog.text


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("damage", [cut_off, Path.unlink], ids=["broken", "missing"])
@pytest.mark.parametrize("rows", [4, slice(None)], ids=str)
def test_a_file_that_cannot_be_read_any_more_is_named(
    root: Path, damage: Callable[[Path], None], rows: int | slice
) -> None:
    images = read_folder(root, 16, grey=False, storage="streamed").images
    damage(root / images.names[4])
    with pytest.raises(InputError, match=r"root/a/8\.jpg: cannot be read \(.*\); put it back, or remove it"):
        images[rows]


Listed = tuple[Path, Callable[[], None]]


@pytest.fixture
def listed(root: Path, tmp_path: Path) -> Listed:
    """The list of the files, and what checks them as a run does that starts."""
    raw = read_folder(root, 16, grey=False, storage="streamed")
    index = build_index(raw, FRACTIONS, 0)
    card = describe("folder", raw, index, [])
    path = write_images(raw.images, tmp_path)
    return path, lambda: check_images(read_images(path), index, card)


def test_files_that_are_as_they_were_listed_are_accepted_and_few_are_read(
    root: Path, listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, check = listed
    check()
    os.utime(root / "a/4.jpg", (1, 1))  # another time, the same bytes
    read: list[Path] = []
    monkeypatch.setattr("projpipe.images.streamed.SAMPLE", 2)
    monkeypatch.setattr("projpipe.images.streamed.read_file", lambda file: read.append(file) or file.read_bytes())
    check()
    assert sorted(file.relative_to(root).as_posix() for file in read) == ["a/0.jpg", "a/4.jpg", "b/1.jpg"]
    described = json.loads(path.read_text())
    del described["recorded"]  # a list of an older version
    path.write_text(json.dumps(described))
    check()


def same_size(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def same_size_and_time(path: Path) -> None:
    before = path.stat()
    same_size(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [cut_off, Path.unlink, same_size, same_size_and_time])
def test_a_file_that_was_changed_since_it_was_listed_is_named(
    root: Path, listed: Listed, change: Callable[[Path], None]
) -> None:
    change(root / "a/8.jpg")
    with pytest.raises(
        InputError, match=r"root/a/8\.jpg: cannot be read \((it was changed|.*No such file).*put it back"
    ):
        listed[1]()


def test_a_list_that_was_changed_is_not_that_of_the_card(listed: Listed) -> None:
    path, check = listed
    described = json.loads(path.read_text())
    described["recorded"]["sha256"].reverse()
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"images or index: were changed since their card, dataset\.json, was written"):
        check()
    described["recorded"]["sizes"].pop()
    path.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="shape"):
        check()
