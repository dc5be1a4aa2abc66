"""Pictures are found where a person says they are, and brought to the size that is asked for."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from projpipe.errors import InputError
from projpipe.images.pictures import find_pictures, read_picture


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(path)
    return path


def test_a_file_is_taken_whatever_its_ending_and_a_folder_with_all_below_it(tmp_path: Path) -> None:
    odd = save(tmp_path / "picture.png").rename(tmp_path / "picture.data")
    pictures = [save(tmp_path / "photos" / name) for name in ("a/2.png", "b.PNG", "c.jpg")]
    (tmp_path / "photos/notes.txt").write_text("none")
    assert find_pictures([str(odd), str(tmp_path / "photos")]) == [odd, *pictures]


def test_patterns_reach_into_folders_and_a_name_may_look_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = save(Path("odd[1].png"))
    deep = save(Path("photos/a/b/1.png"))
    assert find_pictures(["odd[1].png", "photos/**/*.png"]) == [named, deep]


def test_a_picture_is_read_at_the_models_size_in_its_channels(tmp_path: Path) -> None:
    path = save(tmp_path / "one.png")
    assert np.array_equal(read_picture(path, (6, 8), grey=True)[..., 0], np.arange(48).reshape(6, 8))
    assert read_picture(path, (4, 10), grey=False).shape == (4, 10, 3)


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"one\.png: is no image of a known format; leave it out or replace it"):
        read_picture(tmp_path / "one.png", (4, 4), grey=True)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (found,) = find_pictures([str(tmp_path)])
    with pytest.raises(InputError, match=r"pipe\.png: is no image that can be read \(pipe\.png is no regular file\)"):
        read_picture(found, (4, 4), grey=True)
