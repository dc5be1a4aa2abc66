"""The image index, which says what each row of the images is, and the card that describes a data set."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from projpipe.config import SplitFractions
from projpipe.errors import InputError
from projpipe.images.dataset_card import SPLITS, DatasetCard
from projpipe.images.normalisation import channel_statistics
from projpipe.images.raw import RawImages
from projpipe.images.stored import contents
from projpipe.images.streamed import Images, StreamedImages


def build_index(raw: RawImages, fractions: SplitFractions, seed: int) -> pd.DataFrame:
    """The table of `schemas.IMAGE_INDEX`, in the order of the images: what each image is, and its split.

    Official splits are kept. What they leave open is cut from the training images: every class is shuffled with the
    seed and cut on its own. Shares are rounded, but each class gets at least one image in each of train, validation and
    test.
    """
    generator = np.random.default_rng([seed, 0])
    splits = np.full(len(raw.class_ids), "train", object) if raw.splits is None else raw.splits.astype(object)
    open_splits = [split for split in ("test", "validation") if split not in raw.official_splits]
    for of_class in raw.rows_by_class("train"):
        left = generator.permutation(of_class)
        for position, split in enumerate(open_splits):
            to_leave = len(open_splits) - position  # one each for train and for the splits that come after
            count = min(max(1, round(getattr(fractions, split) * len(of_class))), len(left) - to_leave)
            splits[left[:count]] = split
            left = left[count:]
    return pd.DataFrame(
        {
            "image_id": np.arange(len(splits)),
            "class_id": raw.class_ids,
            "class_name": pd.Series(np.array(raw.classes, object)[raw.class_ids], dtype="str"),
            "group": pd.Series(np.array(raw.groups, object)[raw.class_ids], dtype="str"),
            "split": pd.Series(splits, dtype="str"),
        }
    )


def describe(name: str, raw: RawImages, index: pd.DataFrame, held_out: Sequence[int]) -> DatasetCard:
    """The card of a data set of this name, whose `held_out` class ids no training task has."""
    images = raw.images
    mean, std = channel_statistics(images, np.flatnonzero(index["split"] == "train"))
    counts = index["split"].value_counts()
    height, width, channels = images.shape[1:]
    return DatasetCard(
        name=name,
        image_size=(height, width),
        channels=channels,
        inverted=raw.inverted,
        mean=tuple(mean),
        std=tuple(std),
        classes=raw.classes,
        groups=raw.groups,
        held_out_classes=tuple(held_out),
        images={split: int(counts[split]) for split in SPLITS},
        unreadable=raw.unreadable,
        repeated=raw.repeated,
        sha256=_sha256(images, index),
    )


def check_images(images: Images, index: pd.DataFrame, card: DatasetCard) -> None:
    """Compare images and their index with the hash on their card; of streamed images also the files with their list.

    Raises:
        InputError: they are not those that the card was written of.
    """
    if _sha256(images, index) != card.sha256:
        raise InputError(
            "images or index: were changed since their card, dataset.json, was written: its sha256 differs"
        )
    if isinstance(images, StreamedImages):
        images.check_recorded()


def _sha256(images: Images, index: pd.DataFrame) -> str:
    digest = hashlib.sha256(str(images.shape).encode())
    for content in contents(images):
        digest.update(content)
    digest.update(index.to_csv(index=False).encode())
    return digest.hexdigest()
