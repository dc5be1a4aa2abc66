"""From image files to the images of a source: packed into one array, or listed to be streamed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from projpipe.errors import one_line, printable
from projpipe.images.dataset_card import SPLITS
from projpipe.images.decode import decode, has_header, in_threads
from projpipe.images.raw import RawImages
from projpipe.images.stored import fingerprints
from projpipe.images.streamed import Images, StreamedImages

logger = logging.getLogger(__name__)

NAMED_IN_LOG = 20


def pack(
    names: Sequence[str],
    read: Callable[[str], bytes],
    labels: Sequence[tuple[str, str]],
    image_size: int,
    grey: bool,
    invert: bool = False,
    splits: Sequence[str] | None = None,
) -> RawImages:
    """Decode image files into a RawImages of square images of `image_size` pixels.

    `read(name)` gives the bytes of a file, from any thread; `labels` holds the (group, class name) of each file, and
    classes are numbered in that order, sorted. `invert` swaps black and white. Files that cannot be decoded are left
    out, and named in the log and in `unreadable`. `splits` are the official ones of the files, if there are any.

    Raises InputError if a class is left with too few images.
    """
    images = np.empty((len(names), image_size, image_size, 1 if grey else 3), np.uint8)

    def decode_row(row: int) -> bool:
        try:
            images[row] = decode(read(names[row]), (image_size, image_size), grey)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise nearly anything on broken bytes
            logger.debug("%s: %s", names[row], one_line(str(error)))
            return False
        return True

    readable = in_threads(decode_row, range(len(names)))
    if invert:
        np.subtract(255, images, out=images)
    return labelled(images, names, labels, readable, splits, invert)


def labelled(
    images: Images,
    names: Sequence[str],
    labels: Sequence[tuple[str, str]],
    readable: Sequence[bool],
    splits: Sequence[str] | None = None,
    inverted: bool = False,
) -> RawImages:
    """The RawImages of files `names`, of which some are not `readable`: these are left out, and named in the log.

    So are images that a later one of the `splits` has, too.

    Raises InputError if a class is left with too few images.
    """
    kinds = sorted(set(labels))
    number = {kind: class_id for class_id, kind in enumerate(kinds)}
    class_ids = np.array([number[label] for label in labels], np.int64)
    kept = np.asarray(readable, bool)
    unreadable = _left_out(names, ~kept, "cannot be read")
    repeated: tuple[str, ...] = ()
    if splits is not None:
        again = _repeats(images, np.array(splits), kept)
        repeated = _left_out(names, again, "are in a later split, too")
        kept &= ~again
    return RawImages(
        images=images if kept.all() else images.take(np.flatnonzero(kept), axis=0),
        class_ids=class_ids[kept],
        classes=tuple(name for _, name in kinds),
        groups=tuple(group for group, _ in kinds),
        unreadable=unreadable,
        repeated=repeated,
        splits=None if splits is None else np.array(splits)[kept],
        official_splits=("train",) if splits is None else tuple(split for split in SPLITS if split in splits),
        inverted=inverted,
    )


def _left_out(names: Sequence[str], without: np.ndarray, why: str) -> tuple[str, ...]:
    """The names of the files that are left out, which are said in the log."""
    left_out = tuple(name for name, out in zip(names, without, strict=True) if out)
    if left_out:
        named, more = printable(", ".join(left_out[:NAMED_IN_LOG])), len(left_out) - NAMED_IN_LOG
        end = f" and {more} more" if more > 0 else ""
        logger.warning("Skipped %d of %d images that %s: %s%s", len(left_out), len(names), why, named, end)
    return left_out


def _repeats(images: Images, splits: np.ndarray, readable: np.ndarray) -> np.ndarray:
    """Whether each image is one that a later split, in the order of `SPLITS`, has too: bool `[N]`."""
    rows = np.flatnonzero(readable)
    prints = np.full(len(splits), "", "U64")
    prints[rows] = list(fingerprints(images.take(rows, axis=0)))
    again, seen = np.zeros(len(splits), bool), np.array([], prints.dtype)
    for split in reversed(SPLITS):
        own = (splits == split) & readable
        again |= own & np.isin(prints, seen)
        seen = np.concatenate([seen, prints[own]])
    return again


def stream(
    root: Path,
    names: Sequence[str],
    labels: Sequence[tuple[str, str]],
    image_size: int,
    grey: bool,
    splits: Sequence[str] | None = None,
) -> RawImages:
    """List image files as a RawImages whose images stay where they are.

    Arguments and classes are those of `pack`. Files are opened, and left out where their beginning is not that
    of a picture; what is broken further on is found, and named, when it is decoded.

    Raises InputError if a class is left with too few images.
    """
    readable = in_threads(lambda name: has_header(root / name), names)
    return labelled(StreamedImages(root, names, image_size, grey), names, labels, readable, splits)
