"""The data set card: what later steps need to know of the images without reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from projpipe.record import from_json, to_json

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DatasetCard:
    """What a data set is, and what was found out about its images.

    Args:
        name: what the images are called: their title, or the name of their source.
        image_size: `[H, W]`.
        inverted: whether black and white are swapped against the pictures of the source.
        mean, std: of each channel of the train split, in 0..1, swapped if `inverted`.
        classes: names, by class id.
        groups: of each class, "" for none.
        held_out_classes: ids of the classes that no training task has.
        images: how many each split has.
        unreadable: names of the files that could not be read and were left out.
        sha256: of the images and their index: pixels of packed images, files of streamed ones, so that the same images
            have another one in the other form.
        repeated: names of the files that were left out because a later split has the same image.
    """

    name: str
    image_size: tuple[int, int]
    channels: int
    inverted: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    held_out_classes: tuple[int, ...]
    images: Mapping[str, int]
    unreadable: tuple[str, ...]
    sha256: str
    repeated: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The content of `dataset.json`."""
        return to_json(self)

    @classmethod
    def from_json(cls, described: object) -> DatasetCard:
        """Read back what `to_json` gave; an InputError names the key that is not as it should be."""
        return from_json(cls, described)
