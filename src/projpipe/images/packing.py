"""From image files to the images of a source: packed into one array, or listed to be streamed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from projpipe.images.decode import decode, has_header, in_threads
from projpipe.images.raw import RawImages
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
) -> RawImages:
    """Decode image files into a RawImages of square images of `image_size` pixels.

    `read(name)` gives the bytes of a file, from any thread; `labels` holds the (group, class name) of each file, and
    classes are numbered in that order, sorted. `invert` swaps black and white. Files that cannot be decoded are left
    out, and named in the log and in `unreadable`.

    Raises InputError if a class is left with too few images.
    """
    images = np.empty((len(names), image_size, image_size, 1 if grey else 3), np.uint8)

    def decode_row(row: int) -> bool:
        try:
            images[row] = decode(read(names[row]), (image_size, image_size), grey)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise nearly anything on broken bytes
            logger.debug("%s: %s", names[row], error)
            return False
        return True

    readable = in_threads(decode_row, range(len(names)))
    if invert:
        np.subtract(255, images, out=images)
    return labelled(images, names, labels, readable, invert)


def labelled(
    images: Images,
    names: Sequence[str],
    labels: Sequence[tuple[str, str]],
    readable: Sequence[bool],
    inverted: bool = False,
) -> RawImages:
    """The RawImages of files `names`, of which some are not `readable`: these are left out, and named in the log.

    Raises InputError if a class is left with too few images.
    """
    kinds = sorted(set(labels))
    kept = np.flatnonzero(readable)
    unreadable = tuple(name for name, whole in zip(names, readable, strict=True) if not whole)
    if unreadable:
        more = f" and {len(unreadable) - NAMED_IN_LOG} more" if len(unreadable) > NAMED_IN_LOG else ""
        logger.warning(
            "Skipped %d of %d images that cannot be read: %s%s",
            len(unreadable),
            len(names),
            ", ".join(unreadable[:NAMED_IN_LOG]),
            more,
        )
    number = {kind: class_id for class_id, kind in enumerate(kinds)}
    class_ids = np.array([number[label] for label in labels], np.int64)
    return RawImages(
        images=images.take(kept, axis=0) if unreadable else images,
        class_ids=class_ids[kept],
        classes=tuple(name for _, name in kinds),
        groups=tuple(group for group, _ in kinds),
        unreadable=unreadable,
        inverted=inverted,
    )


def stream(
    root: Path, names: Sequence[str], labels: Sequence[tuple[str, str]], image_size: int, grey: bool
) -> RawImages:
    """List image files as a RawImages whose images stay where they are.

    Arguments and classes are those of `pack`. Files are opened, and left out where their beginning is not that
    of a picture; what is broken further on is found, and named, when it is decoded.

    Raises InputError if a class is left with too few images.
    """
    readable = in_threads(lambda name: has_header(root / name), names)
    return labelled(StreamedImages(root, names, image_size, grey), names, labels, readable)
