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
    of each image, None where the source has none; `unreadable` names the images that were skipped, `repeated` those
    left out because a later split has them, too; `inverted` says that black and white are swapped against the pictures
    of the source.

    Raises InputError if a class has too few images: each split needs one of it.
    """

    images: Images
    class_ids: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    splits: np.ndarray | None = None
    unreadable: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    inverted: bool = False

    @property
    def official_splits(self) -> tuple[str, ...]:
        """The splits that the source has, in order; what it lacks is to be cut from its training images."""
        return ("train",) if self.splits is None else tuple(split for split in SPLITS if split in self.splits)

    def rows(self, class_id: int, split: str) -> np.ndarray:
        """The images of a class in a split of the source; all are for training where it has none."""
        in_split = split == "train" if self.splits is None else self.splits == split
        return np.flatnonzero((self.class_ids == class_id) & in_split)

    def first(self, per_class: int) -> RawImages:
        """At most the first `per_class` images of every class and official split, in the order they are in."""
        chosen = [
            self.rows(class_id, split)[:per_class]
            for class_id in range(len(self.classes))
            for split in self.official_splits
        ]
        kept = np.sort(np.concatenate(chosen))
        splits = None if self.splits is None else self.splits[kept]
        return replace(self, images=self.images.take(kept, axis=0), class_ids=self.class_ids[kept], splits=splits)

    def __post_init__(self) -> None:
        for split in self.official_splits:
            least = 1 + len(SPLITS) - len(self.official_splits) if split == "train" else 1
            counts = [len(self.rows(class_id, split)) for class_id in range(len(self.classes))]
            if few := [class_id for class_id, count in enumerate(counts) if count < least]:
                more = f" (and {len(few) - 1} more classes)" if len(few) > 1 else ""
                where = "" if self.splits is None else f" for {split}"
                raise InputError(
                    f"class {self.classes[few[0]]!r} has {counts[few[0]]} readable images{where}{more}, too few to "
                    f"train, validate and test on; add images until there are at least {least}, or remove the class"
                )
