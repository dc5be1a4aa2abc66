"""From the bytes of an image file to pixels, by many threads."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from projpipe.record import regular_file

Item = TypeVar("Item")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)

MAX_THREADS = 8
AT_ONCE = 4096  # files that threads are told of in advance
MOST_BYTES = 485 * 10**6  # of a file, and of what decoding it takes: a photograph of 60 million pixels
STRIP = 2**18  # pixels that are converted together
STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # bytes of a pixel, of other modes 4
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what is wrong with a picture is said by those who read it
# Pillow would hand an EPS file to Ghostscript, which runs it as a program.
NOT_READ = frozenset({"EPS"})


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int = min(MAX_THREADS, os.cpu_count() or 1)
) -> list[Result]:
    """What `work` makes of each item, in order; work on image files, which mostly waits or runs outside of Python."""
    done: list[Result] = []
    with of_pillow(), ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), AT_ONCE):
            done += pool.map(work, items[start : start + AT_ONCE])
    return done


@cache
def image_extensions() -> frozenset[str]:
    """Endings of the files that are read as pictures, such as '.png'."""
    extensions = Image.registered_extensions()
    return frozenset(end for end, form in extensions.items() if form in Image.OPEN and form not in NOT_READ)


@contextmanager
def of_pillow() -> Iterator[None]:
    """While the body runs, Pillow's warnings are not shown, and a picture too large to be meant well is an error.

    Pillow itself only warns of a decompression bomb up to twice its limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_file(path: Path) -> bytes:
    """The bytes of a file that may be a picture.

    Raises:
        OSError: it is not there, is no regular file, or is larger than any picture that is read.
    """
    if (size := regular_file(path).stat().st_size) > MOST_BYTES:
        raise OSError(f"its {size:,} bytes are more than {MOST_BYTES:,}")
    return path.read_bytes()


def decode(content: bytes, image_size: tuple[int, int], grey: bool) -> np.ndarray:
    """One picture as uint8 [H, W, 1 or 3], where `image_size` is (H, W).

    Turned upright by its EXIF orientation; of an animation the first frame; transparent parts on white; 16-bit and
    floating point (0..1) greys brought to 0..255. It is resized with antialiasing (bicubic) so that it covers
    `image_size`, and the centre is cut out.

    Raises:
        ValueError: it would take more than `MOST_BYTES`. Pillow's decoders raise nearly anything on broken bytes.
    """
    with _open(io.BytesIO(content)) as picture:
        stored = STORED.get(picture.mode, 4)
        taken = picture.width * picture.height * (stored + max(stored, 1 if grey else 4))
        if taken > MOST_BYTES:
            size = f"{picture.width} x {picture.height} pixels of {picture.mode}"
            raise ValueError(f"{size} take {taken:,} bytes, more than {MOST_BYTES:,}")
        ImageOps.exif_transpose(picture, in_place=True)
        fitted = ImageOps.fit(_to_bytes(picture, grey), image_size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(fitted).reshape(*image_size, -1)


def has_header(path: Path) -> bool:
    """Whether a file begins as a picture that can be read does; its pixels are not looked at."""
    try:
        with _open(regular_file(path)):
            return True
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise nearly anything on broken bytes
        logger.debug("%s: %s", path, error)
        return False


def _open(file: Path | io.BytesIO) -> Image.Image:
    Image.init()  # fills the list of formats
    try:
        return Image.open(file, formats=[form for form in Image.OPEN if form not in NOT_READ])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels, and may be made to fill the memory"
        ) from error


def _to_bytes(picture: Image.Image, grey: bool) -> Image.Image:
    """`picture` as L or RGB, converted strip by strip, so that no third copy of it is in memory."""
    rows = max(1, STRIP // picture.width)
    if rows >= picture.height:
        return _converted(picture, grey)
    whole = Image.new("L" if grey else "RGB", picture.size)
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        whole.paste(_converted(strip, grey), (0, top))
    return whole


def _converted(picture: Image.Image, grey: bool) -> Image.Image:
    """`picture` as L or RGB; Pillow's own conversion would clip deep greys and paint transparent parts black."""
    if picture.mode[0] in "IF":
        deepest = 1.0 if picture.mode[0] == "F" else 65535.0
        values = np.asarray(picture, np.float64) * (255 / deepest)
        picture = Image.fromarray(np.rint(np.nan_to_num(values, nan=0).clip(0, 255)).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return (
        picture.convert("RGB").convert("L") if grey and picture.mode != "L" else picture.convert("L" if grey else "RGB")
    )
