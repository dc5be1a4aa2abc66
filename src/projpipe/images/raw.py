"""What every source of images yields."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from projpipe.errors import InputError
from projpipe.images.streamed import Images

LEAST_IMAGES = 3  # of a class: one each to train, validate and test on


@dataclass(frozen=True)
class RawImages:
    """Images and what is known of them; row i of `images` is image i of the source.

    `images` [N, H, W, C] uint8, C is 1 or 3, packed or streamed; `class_ids` [N] int64 point into `classes`, the class
    names; `groups` holds the group of each class, "" where the source has none; `unreadable` names the images that were
    skipped; `inverted` says that black and white are swapped against the pictures of the source.

    Raises InputError if a class has fewer than three images: there must be one each to train, validate and test on.
    """

    images: Images
    class_ids: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    inverted: bool = False

    def first(self, per_class: int) -> RawImages:
        """At most the first `per_class` images of every class, in the order they are in."""
        position = np.empty(len(self.class_ids), int)
        for class_id in range(len(self.classes)):
            rows = np.flatnonzero(self.class_ids == class_id)
            position[rows] = np.arange(len(rows))
        kept = np.flatnonzero(position < per_class)
        return replace(self, images=self.images.take(kept, axis=0), class_ids=self.class_ids[kept])

    def __post_init__(self) -> None:
        counts = np.bincount(self.class_ids, minlength=len(self.classes))
        if len(few := np.flatnonzero(counts < LEAST_IMAGES)):
            more = f" (and {len(few) - 1} more classes)" if len(few) > 1 else ""
            raise InputError(
                f"class {self.classes[few[0]]!r} has {counts[few[0]]} readable images{more}, too few to train, "
                f"validate and test on; add images until there are at least {LEAST_IMAGES}, or remove the class"
            )
