import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets.omniglot
from PIL import Image
from pydantic import ValidationError

from projpipe.config import OmniglotSource
from projpipe.errors import InputError
from projpipe.images.omniglot import read_omniglot


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Two alphabets of two characters, four drawings each: black strokes on white, at a place told by the drawing."""
    for alphabet in ("Greek", "Latin"):
        for character in ("character01", "character02"):
            folder = tmp_path / "images_background" / alphabet / character
            folder.mkdir(parents=True)
            for number in range(4):
                pixels = np.full((105, 105), 255, np.uint8)
                pixels[40:64, 20 * number : 20 * number + 12] = 0
                Image.fromarray(pixels).convert("1").save(folder / f"{number:02}.png")
    return tmp_path / "images_background"


@pytest.fixture
def archive(drawings: Path, tmp_path: Path) -> Path:
    """The drawings as an official zip, with the hidden twins that macOS adds."""
    with zipfile.ZipFile(tmp_path / "images_background.zip", "w") as zipped:
        for path in sorted(drawings.rglob("*"), reverse=True):
            zipped.write(path, path.relative_to(drawings.parent))
        zipped.writestr("__MACOSX/images_background/Greek/character01/._00.png", b"twin")
    return tmp_path / "images_background.zip"


def test_a_zip_gives_characters_in_alphabets_with_bright_ink(archive: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    raw = read_omniglot([archive], 28, tmp_path / "downloads")
    assert raw.images.shape == (16, 28, 28, 1)
    assert raw.classes == ("Greek/character01", "Greek/character02", "Latin/character01", "Latin/character02")
    assert raw.groups == ("Greek", "Greek", "Latin", "Latin")
    assert raw.class_ids.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert raw.unreadable == ()
    assert raw.images[:, 0, 0].max() == 0
    assert raw.images[:, 11:17].max((1, 2, 3)).tolist() == [255] * 16
    assert raw.images[:, 14, :, 0].argmax(1).tolist() == sorted(raw.images[:4, 14, :, 0].argmax(1)) * 4
    assert len(np.unique(raw.images)) > 2  # antialiased
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_gives_the_same_as_its_zip(drawings: Path, archive: Path, tmp_path: Path) -> None:
    zipped = read_omniglot([archive], 14, tmp_path)
    for folder in (drawings, drawings.parent):
        raw = read_omniglot([folder], 14, tmp_path)
        assert np.array_equal(raw.images, zipped.images)
        assert np.array_equal(raw.class_ids, zipped.class_ids)
        assert raw.classes == zipped.classes


def test_a_broken_drawing_is_named_and_the_rest_goes_on(drawings: Path, tmp_path: Path) -> None:
    (drawings / "Latin" / "character01" / "02.png").write_bytes(b"nothing")
    raw = read_omniglot([drawings], 28, tmp_path)
    assert raw.unreadable == ("Latin/character01/02.png",)
    assert np.bincount(raw.class_ids).tolist() == [4, 4, 3, 4]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="split_tasks.source.path: there is no .*nowhere.zip; give .* or null to download"
    ):
        read_omniglot([tmp_path / "nowhere.zip"], 28, tmp_path)


def test_a_cut_zip_is_named(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(InputError, match="images_background.zip is not a whole zip file .* download it again"):
        read_omniglot([archive], 28, tmp_path)


def test_a_folder_without_drawings_is_refused(drawings: Path, tmp_path: Path, fill: Callable[..., None]) -> None:
    fill(tmp_path / "flat" / "cats")
    with pytest.raises(InputError, match="holds no <alphabet>/<character>/<drawing>.png"):
        read_omniglot([tmp_path / "flat"], 28, tmp_path)


def test_a_failed_download_says_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.omniglot.Omniglot, "download_url_prefix", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="split_tasks.source.path: Omniglot cannot be downloaded .*; give the path"):
        read_omniglot([], 28, tmp_path)


def test_several_zips_are_one_set_in_which_no_drawing_is_twice(drawings: Path, archive: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    for character in ("Greek/character01", "Korean/character01"):
        shutil.copytree(drawings / "Greek/character02", more / character)
    raw = read_omniglot([archive, more], 14, tmp_path)
    assert raw.classes == (
        "Greek/character01",
        "Greek/character02",
        "Korean/character01",
        "Latin/character01",
        "Latin/character02",
    )
    assert np.bincount(raw.class_ids).tolist() == [4] * 5
    assert np.array_equal(raw.images[:8], read_omniglot([archive], 14, tmp_path).images[:8])  # the first zip's


def test_one_path_or_several_may_be_given() -> None:
    assert OmniglotSource(name="omniglot", path="a.zip").path == ("a.zip",)
    assert OmniglotSource(name="omniglot", path=["a.zip", "b.zip"]).path == ("a.zip", "b.zip")
    assert OmniglotSource(name="omniglot").path is None
    with pytest.raises(ValidationError, match="at least 1 item"):
        OmniglotSource(name="omniglot", path=[])


def test_broken_members_of_a_zip_are_left_out_and_named_on_one_line(
    archive: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as whole:
        broken = whole.getinfo("images_background/Greek/character01/00.png")
        content[broken.header_offset + 80 : broken.header_offset + 90] = bytes(10)
    archive.write_bytes(content)
    raw = read_omniglot([archive], 28, tmp_path)
    assert raw.unreadable == ("Greek/character01/00.png",)
    assert [record.getMessage() for record in caplog.records] == [
        "Skipped 1 of 16 images that cannot be read: Greek/character01/00.png"
    ]


def test_a_zip_bomb_is_refused_by_the_size_that_it_declares(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("images_background/Greek/character01/bomb.png", bytes(2**24 + 1))
    with pytest.raises(
        InputError, match=r"bomb\.png of .*\.zip would be 16,777,217 bytes, which no drawing is; download"
    ):
        read_omniglot([archive], 28, tmp_path)


@pytest.mark.parametrize("kind", ["a pipe", "a zip of another version", "a zip with a name that is no text"])
def test_what_is_no_zip_that_can_be_read_is_refused(kind: str, archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    archive.unlink()
    if kind == "a pipe":
        os.mkfifo(archive)
    elif kind == "a zip of another version":
        entry = content.index(b"PK\x01\x02")
        archive.write_bytes(content[: entry + 6] + b"\xff\x00" + content[entry + 8 :])
    else:
        entry = content.index(b"PK\x01\x02")
        flagged = content[: entry + 8] + b"\x00\x08" + content[entry + 10 : entry + 46]
        archive.write_bytes(flagged + b"\xff" + content[entry + 47 :])
    with pytest.raises(InputError, match="is not a whole zip file .* download it again"):
        read_omniglot([archive], 28, tmp_path)
