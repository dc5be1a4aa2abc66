from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projpipe.config import SplitFractions
from projpipe.errors import InputError
from projpipe.images.dataset_card import SPLITS
from projpipe.images.index import build_index, describe
from projpipe.images.raw import RawImages
from projpipe.schemas import IMAGE_INDEX

FRACTIONS = SplitFractions(validation=0.2, test=0.3)


def raw_images(counts: list[int], seed: int = 0) -> RawImages:
    """Noise of `counts` images of each class, in mixed order."""
    generator = np.random.default_rng(seed)
    class_ids = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    names = tuple(f"class {i}" for i in range(len(counts)))
    images = generator.integers(0, 256, (len(class_ids), 2, 3, 1), np.uint8)
    return RawImages(images, class_ids, names, ("",) * len(counts))


@given(
    counts=st.lists(st.integers(3, 40), min_size=1, max_size=6),
    shares=st.tuples(st.floats(0.01, 0.98), st.floats(0.01, 0.98)).filter(lambda pair: sum(pair) < 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_image_is_in_one_split_and_every_class_in_every_split(
    counts: list[int], shares: tuple[float, float], seed: int
) -> None:
    raw = raw_images(counts)
    index = build_index(raw, SplitFractions(validation=shares[0], test=shares[1]), seed)
    IMAGE_INDEX.validate(index)
    assert index["image_id"].tolist() == list(range(sum(counts)))
    assert np.array_equal(index["class_id"], raw.class_ids)
    assert index["class_name"].tolist() == [f"class {i}" for i in raw.class_ids]
    table = index.groupby(["class_id", "split"]).size().unstack(fill_value=0)
    assert sorted(table.columns) == sorted(SPLITS)
    assert table.to_numpy().min() >= 1
    for split, share in zip(("validation", "test"), shares, strict=True):
        # A share is met to the next whole image, save where that would leave another split empty.
        wanted = share * np.array(counts)
        off = np.abs(table[split] - wanted) > 1
        assert (table.loc[off, "train"] == 1).all()


def test_a_seed_decides_the_split() -> None:
    raw = raw_images([20, 30])
    pd.testing.assert_frame_equal(build_index(raw, FRACTIONS, 5), build_index(raw, FRACTIONS, 5))
    assert not build_index(raw, FRACTIONS, 5).equals(build_index(raw, FRACTIONS, 6))


def test_shares_are_kept_class_by_class() -> None:
    index = build_index(raw_images([100, 10]), FRACTIONS, 0)
    counts = index.groupby("class_id")["split"].value_counts()
    assert counts[0].to_dict() == {"train": 50, "test": 30, "validation": 20}
    assert counts[1].to_dict() == {"train": 5, "test": 3, "validation": 2}


def test_a_class_of_two_images_is_refused_by_name_and_count() -> None:
    with pytest.raises(InputError, match="'class 1' has 2 readable images, too few .*until there are at least 3"):
        raw_images([3, 2, 9])
    with pytest.raises(InputError, match=r"'class 1' has 0 readable images \(and 1 more classes\)"):
        raw_images([3, 0, 1])


def test_the_card_says_what_later_steps_need() -> None:
    raw = replace(raw_images([10, 20]), unreadable=("a/b.png",), repeated=("a/c.png",), groups=("low", "high"))
    index = build_index(raw, FRACTIONS, 0)
    card = asdict(describe("pets", raw, index, [1]))
    train = raw.images[(index["split"] == "train").to_numpy()] / 255
    assert card.pop("mean") == pytest.approx([train.mean()], abs=1e-6)
    assert card.pop("std") == pytest.approx([train.std()], abs=1e-6)
    assert len(card.pop("sha256")) == 64
    assert card == {
        "name": "pets",
        "image_size": (2, 3),
        "channels": 1,
        "inverted": False,
        "classes": ("class 0", "class 1"),
        "groups": ("low", "high"),
        "held_out_classes": (1,),
        "images": {"train": 15, "validation": 6, "test": 9},
        "unreadable": ("a/b.png",),
        "repeated": ("a/c.png",),
    }


def test_the_hash_changes_with_a_pixel_a_label_or_the_split() -> None:
    raw = raw_images([10, 10])
    index = build_index(raw, FRACTIONS, 0)
    pixel = raw.images.copy()
    pixel[-1, -1, -1, -1] ^= 1
    other = raw_images([10, 10], seed=1)
    hashes = [
        describe("pets", *given_, []).sha256
        for given_ in (
            (raw, index),
            (replace(raw, images=pixel), index),
            (raw, build_index(raw, FRACTIONS, 1)),
            (raw, build_index(replace(raw, class_ids=other.class_ids), FRACTIONS, 0)),
        )
    ]
    assert len(set(hashes)) == 4
    assert describe("pets", raw, index.copy(), []).sha256 == hashes[0]


@pytest.mark.parametrize(("official", "cut"), [(("train", "test"), "validation"), (("train", "validation"), "test")])
def test_an_official_split_is_kept_and_what_it_leaves_open_is_cut_from_the_training_images(
    official: tuple[str, str], cut: str
) -> None:
    raw = raw_images([40, 20])
    splits = np.where(np.arange(60) % 2, *official)
    index = build_index(replace(raw, splits=splits, official_splits=official), FRACTIONS, seed=0)
    own = splits == official[1]
    assert (index["split"] == official[1]).tolist() == own.tolist()
    share = getattr(FRACTIONS, cut)
    for class_id in (0, 1):
        of_train = index["split"][(raw.class_ids == class_id) & ~own]
        assert (of_train == cut).sum() == round(share * len(of_train))
        assert set(of_train) == {"train", cut}


def test_a_whole_official_split_is_left_as_it_is() -> None:
    raw = raw_images([9, 9])
    splits = np.resize(["test", "train", "validation"], 18)
    raw = replace(raw, class_ids=np.repeat([0, 1], 9), splits=splits, official_splits=SPLITS)
    assert build_index(raw, FRACTIONS, seed=0)["split"].tolist() == splits.tolist()
