from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from makers import read_folder
from projpipe.config import SplitFolders
from projpipe.errors import InputError

Fill = Callable[..., None]


def test_a_folder_for_each_class_gives_classes_without_groups(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", 4)
    fill(tmp_path / "dogs", 3)
    raw = read_folder(tmp_path, 5, grey=False)
    assert raw.images.shape == (7, 5, 5, 3)
    assert raw.classes == ("cats", "dogs")
    assert raw.groups == ("", "")
    assert raw.class_ids.tolist() == [0] * 4 + [1] * 3
    assert raw.images[:, 2, 2, 1].tolist() == [0, 20, 40, 60, 0, 20, 40]


def test_a_folder_for_each_group_gives_classes_named_with_it(tmp_path: Path, fill: Fill) -> None:
    for path in ("wild/cats", "tame/cats", "tame/dogs"):
        fill(tmp_path / path)
    raw = read_folder(tmp_path, 5, grey=True)
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
    raw = read_folder(tmp_path, 5, grey=True)
    assert len(raw.images) == 6
    assert raw.classes == ("cats", "dogs")
    assert raw.unreadable == ()


def test_formats_are_told_by_their_extension_whatever_its_case(
    tmp_path: Path, fill: Fill, encode: Callable[..., bytes]
) -> None:
    fill(tmp_path / "cats")
    for name, form in {"a.JPG": "JPEG", "b.webp": "WEBP", "c.bmp": "BMP", "d.tiff": "TIFF", "e.gif": "GIF"}.items():
        (tmp_path / "cats" / name).write_bytes(encode(np.full((9, 7, 3), 100, np.uint8), form))
    raw = read_folder(tmp_path, 6, grey=False)
    assert len(raw.images) == 8
    assert np.abs(raw.images[3:].astype(int) - 100).max() <= 2


def test_broken_images_are_named_and_the_rest_goes_on(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", 5)
    fill(tmp_path / "dogs", 3)
    whole = (tmp_path / "cats" / "1.png").read_bytes()
    (tmp_path / "cats" / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cats" / "3.png").write_bytes(b"")
    raw = read_folder(tmp_path, 5, grey=True)
    assert raw.unreadable == ("cats/1.png", "cats/3.png")
    assert raw.images[:3, 0, 0, 0].tolist() == [0, 40, 80]


def test_a_class_left_with_too_few_readable_images_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats", 3)
    fill(tmp_path / "dogs", 3)
    (tmp_path / "dogs" / "1.png").write_bytes(b"")
    with pytest.raises(
        InputError, match="class 'dogs' has 2 readable images, too few .* at least 3, or remove the class"
    ):
        read_folder(tmp_path, 5, grey=True)


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
        read_folder(tmp_path, 5, grey=True)


@pytest.mark.parametrize("empty", ["birds", "cats/kittens"])
def test_an_empty_folder_is_named(tmp_path: Path, fill: Fill, empty: str) -> None:
    fill(tmp_path / "cats")
    (tmp_path / empty).mkdir()
    with pytest.raises(InputError, match=f"the folder .*{empty} holds no image that Pillow reads; fill or remove it"):
        read_folder(tmp_path, 5, grey=True)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split_tasks.source.root: there is no folder .*nowhere; give"):
        read_folder(tmp_path / "nowhere", 5, grey=True)


TRAIN_AND_TEST = {"train": "train", "test": "test"}


def test_a_missing_root_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder .*pets; get the images with `git clone pets`"):
        read_folder(tmp_path / "pets", 5, get_with="git clone pets")


@pytest.mark.parametrize("storage", ["packed", "streamed"])
def test_an_official_split_lies_in_folders_and_no_later_image_is_trained_on(
    tmp_path: Path, fill: Fill, encode: Callable[..., bytes], storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, count in (("train/cats", 4), ("train/dogs", 3), ("test/cats", 1), ("test/dogs", 1), ("more/fish", 3)):
        fill(tmp_path / folder, count)
    for folder, grey in (("test/cats", 200), ("test/dogs", 20)):  # train/cats/1.png and train/dogs/1.png are 20
        (tmp_path / folder / "0.png").write_bytes(encode(np.full((6, 6, 3), grey, np.uint8)))
    raw = read_folder(tmp_path, 6, storage=storage, split_folders=TRAIN_AND_TEST)
    assert raw.classes == ("cats", "dogs")
    assert raw.repeated == ("train/cats/1.png", "train/dogs/1.png")
    assert "Skipped 2 of 9 images that are in a later split, too: train/cats/1.png" in caplog.text
    assert raw.images[:][:, 0, 0, 0].tolist() == [0, 40, 60, 0, 40, 200, 20]
    assert raw.class_ids.tolist() == [0, 0, 0, 1, 1, 0, 1]
    assert raw.splits.tolist() == ["train"] * 5 + ["test"] * 2


def test_a_class_that_a_split_lacks_is_named(tmp_path: Path, fill: Fill, encode: Callable[..., bytes]) -> None:
    for folder in ("train/cats", "train/dogs", "test/cats"):
        fill(tmp_path / folder, 4)
    (tmp_path / "train/cats/4.png").write_bytes(encode(np.full((6, 6, 3), 250, np.uint8)))
    (tmp_path / "train/cats/5.png").write_bytes(encode(np.full((6, 6, 3), 251, np.uint8)))
    with pytest.raises(InputError, match="class 'dogs' has 0 images in the folder for train"):
        read_folder(tmp_path, 6, split_folders=TRAIN_AND_TEST)


def test_a_split_whose_images_are_all_in_a_later_one_is_not_cut_anew(tmp_path: Path, fill: Fill) -> None:
    for split in ("train", "val", "test"):
        fill(tmp_path / split / "cats", 4)
        fill(tmp_path / split / "dogs", 4)
    folders = {"train": "train", "validation": "val", "test": "test"}
    with pytest.raises(InputError, match="class 'cats' has 0 images in the folder for train"):
        read_folder(tmp_path, 6, split_folders=folders)


def test_a_missing_split_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "train/cats", 5)
    with pytest.raises(InputError, match=r"source\.split_folders\.test: there is no folder .*test; .* has train"):
        read_folder(tmp_path, 5, split_folders=TRAIN_AND_TEST)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({"train": "train"}, "train alone is no split"),
        ({"train": "all", "test": "all"}, "two splits have the same folder"),
        ({"train": "all/", "test": "./all"}, "two splits have the same folder"),
    ],
)
def test_folders_that_are_no_split_are_refused(folders: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SplitFolders(**folders)


def pets(root: Path, fill: Fill, table: str) -> dict[str, str]:
    """Two classes, and a table of groups."""
    fill(root / "pets/cats")
    fill(root / "pets/carp")
    (root / "groups.csv").write_text(table, encoding="utf-8")
    return {"groups": str(root / "groups.csv")}


def test_groups_come_from_a_table(tmp_path: Path, fill: Fill) -> None:
    given = pets(tmp_path, fill, "\ufeffgroup, class\nmammals, cats\nfish ,carp\n")
    raw = read_folder(tmp_path / "pets", 5, **given)
    assert (raw.classes, raw.groups) == (("carp", "cats"), ("fish", "mammals"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("class,group\ncats,mammals\n", "says no group of the class 'carp'; add a line for it"),
        ("class,group\ncats,a\ncarp,b\ncat,a\n", "a class 'cat', of which there is no folder; did you mean 'cats'"),
        ("class,group\ncats,a\ncarp,b\ncats,b\n", "line 4: the class 'cats' has a line already"),
        ("class,group\ncats,\n", "line 2, is no class and group; give lines of class,group"),
        ("class,group\n\ncats,a,b\n", "line 3, is no class and group"),
        ("name,kind\ncats,a\n", "has not the columns class and group alone"),
        ("class,group,group\ncats,a,b\n", "has not the columns class and group alone"),
        ("", "has not the columns class and group alone"),
    ],
)
def test_a_table_that_does_not_fit_the_classes_is_refused(tmp_path: Path, fill: Fill, table: str, message: str) -> None:
    given = pets(tmp_path, fill, table)
    with pytest.raises(InputError, match=rf"split_tasks\.source\.groups: .*{message}"):
        read_folder(tmp_path / "pets", 5, **given)


def test_a_table_beside_folders_of_groups_is_refused(tmp_path: Path, fill: Fill) -> None:
    given = pets(tmp_path, fill, "class,group\ncats,mammals\n")
    fill(tmp_path / "more/mammals/cats")
    with pytest.raises(InputError, match="classes lie in folders of groups already"):
        read_folder(tmp_path / "more", 5, **given)


def test_a_missing_table_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "cats")
    with pytest.raises(InputError, match="groups: .*none.csv cannot be read .*; give a CSV file of class,group"):
        read_folder(tmp_path, 5, groups=str(tmp_path / "none.csv"))
