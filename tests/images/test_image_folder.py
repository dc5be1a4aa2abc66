from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from projpipe.errors import InputError
from projpipe.images.image_folder import read_image_folder

Fill = Callable[..., None]


def test_a_folder_for_each_class_gives_classes_without_groups(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", 4)
    fill(tmp_path / "dogs", 3)
    raw = read_image_folder(tmp_path, 5, grey=False)
    assert raw.images.shape == (7, 5, 5, 3)
    assert raw.classes == ("cats", "dogs")
    assert raw.groups == ("", "")
    assert raw.class_ids.tolist() == [0] * 4 + [1] * 3
    assert raw.images[:, 2, 2, 1].tolist() == [0, 20, 40, 60, 0, 20, 40]


def test_a_folder_for_each_group_gives_classes_named_with_it(tmp_path: Path, fill: Fill) -> None:
    for path in ("wild/cats", "tame/cats", "tame/dogs"):
        fill(tmp_path / path)
    raw = read_image_folder(tmp_path, 5, grey=True)
    assert raw.images.shape == (9, 5, 5, 1)
    assert raw.classes == ("tame/cats", "tame/dogs", "wild/cats")
    assert raw.groups == ("tame", "tame", "wild")


def test_hidden_and_other_files_are_passed_over(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats")
    fill(tmp_path / "dogs")
    fill(tmp_path / ".thumbnails")
    (tmp_path / "cats" / "._0.png").write_bytes(b"twin")
    (tmp_path / "cats" / "notes.txt").write_text("Tom, Felix")
    (tmp_path / "README.md").write_text("Pets")
    (tmp_path / "dogs" / "drawing.eps").write_text("%!PS")
    raw = read_image_folder(tmp_path, 5, grey=True)
    assert len(raw.images) == 6
    assert raw.classes == ("cats", "dogs")
    assert raw.unreadable == ()


def test_formats_are_told_by_their_extension_whatever_its_case(
    tmp_path: Path, fill: Fill, encode: Callable[..., bytes]
) -> None:
    fill(tmp_path / "cats")
    for name, form in {"a.JPG": "JPEG", "b.webp": "WEBP", "c.bmp": "BMP", "d.tiff": "TIFF", "e.gif": "GIF"}.items():
        (tmp_path / "cats" / name).write_bytes(encode(np.full((9, 7, 3), 100, np.uint8), form))
    raw = read_image_folder(tmp_path, 6, grey=False)
    assert len(raw.images) == 8
    assert np.abs(raw.images[3:].astype(int) - 100).max() <= 2


def test_broken_images_are_named_and_the_rest_goes_on(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", 5)
    fill(tmp_path / "dogs", 3)
    whole = (tmp_path / "cats" / "1.png").read_bytes()
    (tmp_path / "cats" / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cats" / "3.png").write_bytes(b"")
    raw = read_image_folder(tmp_path, 5, grey=True)
    assert raw.unreadable == ("cats/1.png", "cats/3.png")
    assert raw.images[:3, 0, 0, 0].tolist() == [0, 40, 80]


def test_a_class_left_with_too_few_readable_images_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", 3)
    fill(tmp_path / "dogs", 3)
    (tmp_path / "dogs" / "1.png").write_bytes(b"")
    with pytest.raises(
        InputError, match="class 'dogs' has 2 readable images, too few .* at least 3, or remove the class"
    ):
        read_image_folder(tmp_path, 5, grey=True)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ([], "holds no image that Pillow reads; give a folder of images as <class>/<image> or"),
        (["."], "0.png is not laid out as <class>/<image> or <group>/<class>/<image>"),
        (["a/b/c"], "a/b/c/0.png is not laid out as"),
        (["cats", "wild/lions"], "cats/0.png and wild/lions/0.png lie at different depths"),
        (["cats", "cats/small"], "cats/0.png and cats/small/0.png lie at different depths"),
    ],
    ids=["no image", "no class folder", "too deep", "mixed", "mixed within a class"],
)
def test_images_that_are_laid_out_wrongly_are_refused(
    tmp_path: Path, fill: Fill, folders: list[str], message: str
) -> None:
    for folder in folders:
        fill(tmp_path / folder)
    with pytest.raises(InputError, match=f"split_tasks.source.root: .*{message}"):
        read_image_folder(tmp_path, 5, grey=True)


@pytest.mark.parametrize("empty", ["birds", "cats/kittens"])
def test_an_empty_folder_is_named(tmp_path: Path, fill: Fill, empty: str) -> None:
    fill(tmp_path / "cats")
    (tmp_path / empty).mkdir()
    with pytest.raises(InputError, match=f"the folder .*{empty} holds no image that Pillow reads; fill or remove it"):
        read_image_folder(tmp_path, 5, grey=True)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split_tasks.source.root: there is no folder .*nowhere; give"):
        read_image_folder(tmp_path / "nowhere", 5, grey=True)
