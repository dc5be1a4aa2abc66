"""What every source of images yields."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from projpipe.errors import InputError
from projpipe.images.dataset_card import SPLITS
from projpipe.images.streamed import Images


@dataclass(frozen=True)
class RawImages:
    """Images and what is known of them; row i of `images` is image i of the source.

    `images` [N, H, W, C] uint8, C is 1 or 3, packed or streamed; `class_ids` [N] int64 point into `classes`, the class
    names; `groups` holds the group of each class, "" where the source has none; `splits` [N] holds the official split
    of each image, one of `official_splits`, and is None where the source has none: then all images are to train on.
    `unreadable` names the images that were skipped, `repeated` those left out because a later split has them, too;
    `inverted` says that black and white are swapped against the pictures of the source.

    Raises InputError if a class has too few images: each split needs one of it.
    """

    images: Images
    class_ids: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    splits: np.ndarray | None = None
    official_splits: tuple[str, ...] = ("train",)
    unreadable: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    inverted: bool = False

    def rows_by_class(self, split: str) -> list[np.ndarray]:
        """The images of every class in an official split, in order."""
        rows = np.arange(len(self.class_ids)) if self.splits is None else np.flatnonzero(self.splits == split)
        by_class = rows[np.argsort(self.class_ids[rows], kind="stable")]
        counts = np.bincount(self.class_ids[rows], minlength=len(self.classes))
        return np.split(by_class, np.cumsum(counts)[:-1])

    def first(self, per_class: int) -> RawImages:
        """At most the first `per_class` images of every class and official split, in the order they are in."""
        chosen = [rows[:per_class] for split in self.official_splits for rows in self.rows_by_class(split)]
        kept = np.sort(np.concatenate(chosen))
        splits = None if self.splits is None else self.splits[kept]
        return replace(self, images=self.images.take(kept, axis=0), class_ids=self.class_ids[kept], splits=splits)

    def __post_init__(self) -> None:
        for split in self.official_splits:
            least = 1 + len(SPLITS) - len(self.official_splits) if split == "train" else 1
            counts = [len(rows) for rows in self.rows_by_class(split)]
            if few := [class_id for class_id, count in enumerate(counts) if count < least]:
                more = f" (and {len(few) - 1} more classes)" if len(few) > 1 else ""
                where = "readable images" if self.splits is None else f"images in the folder for {split}"
                raise InputError(
                    f"class {self.classes[few[0]]!r} has {counts[few[0]]} {where}{more}, too few to train, validate "
                    f"and test on; add images until there are at least {least}, or remove the class"
                )
