import numpy as np
import pytest

from projpipe.errors import InputError
from projpipe.images.raw import RawImages


def test_the_first_images_of_every_class_are_kept_in_their_order() -> None:
    class_ids = np.array([1, 0, 1, 1, 0, 1, 0, 0, 1])
    images = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)
    kept = RawImages(images, class_ids, ("a", "b"), ("", "")).first(3)
    assert kept.images.flatten().tolist() == [0, 1, 2, 3, 4, 6]
    assert kept.class_ids.tolist() == [1, 0, 1, 1, 0, 0]
    assert kept.classes == ("a", "b")


def test_the_first_images_of_every_official_split_are_kept() -> None:
    images, class_ids = np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1), np.zeros(8, int)
    splits = np.array(["test"] * 3 + ["train"] * 5)
    kept = RawImages(images, class_ids, ("a",), ("",), splits, ("train", "test")).first(2)
    assert kept.images.flatten().tolist() == [0, 1, 3, 4]
    assert kept.splits.tolist() == ["test", "test", "train", "train"]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (None, "class 'b' has 2 readable images, .* until there are at least 3"),
        (["train"] * 3 + ["test"] + ["train", "test"], "'b' has 1 images in the folder for train, .* at least 2"),
        (["train"] * 3 + ["test"] + ["train", "train"], "'b' has 0 images in the folder for test, .* at least 1"),
    ],
)
def test_a_class_that_lacks_images_for_a_split_is_named(splits: list[str] | None, message: str) -> None:
    given = {} if splits is None else {"splits": np.array(splits), "official_splits": ("train", "test")}
    with pytest.raises(InputError, match=message):
        RawImages(np.zeros((6, 1, 1, 1), np.uint8), np.array([0, 0, 0, 0, 1, 1]), ("a", "b"), ("", ""), **given)
