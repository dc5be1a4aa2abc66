"""How images are kept between pipelines: packed in one array, or as the list of the files that they stay in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from projpipe.errors import InputError
from projpipe.images.normalisation import rows_at_once
from projpipe.images.streamed import Images, StreamedImages

PACKED, STREAMED = "images.npy", "images.json"


def write_images(images: Images, folder: Path) -> Path:
    """Write packed images, or the list of streamed ones, into a folder, and return the file's path."""
    if isinstance(images, StreamedImages):
        described = {
            "root": str(images.root.resolve()),
            "image_size": images.image_size,
            "grey": images.grey,
            "files": images.names,
            "recorded": images.record(),
        }
        (folder / STREAMED).write_text(json.dumps(described, indent=0) + "\n", encoding="utf-8")
        return folder / STREAMED
    with (folder / PACKED).open("wb") as file:
        np.save(file, images, allow_pickle=False)
    return folder / PACKED


def images_file(folder: Path) -> Path:
    """The file that `write_images` has put into a folder."""
    streamed = folder / STREAMED
    return streamed if streamed.exists() else folder / PACKED


def read_images(file: Path) -> Images:
    """Images uint8 `[N, H, W, C]`: packed ones are mapped into memory, read-only, so that all readers share them.

    Raises:
        InputError: the folder of streamed images is gone.
        EOFError, OSError, ValueError, LookupError, TypeError: the file is damaged.
    """
    if file.suffix != Path(STREAMED).suffix:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    described = json.loads(file.read_text(encoding="utf-8"))
    root = Path(described["root"])
    if not root.is_dir():
        raise InputError(
            f"{file}: lists images of {root}, where there is no folder; put it back, or set split_tasks.source.root "
            "and run the pipeline split_tasks again"
        )
    form = described["image_size"], described["grey"]
    return StreamedImages(root, described["files"], *form, file, described.get("recorded"))


def fingerprints(images: Images) -> Iterator[str]:
    """A hash of each image: of the pixels of packed ones, of the files of streamed ones, decoding nothing."""
    if isinstance(images, StreamedImages):
        yield from (digest.hex() for digest in images.digests())
    else:
        yield from (hashlib.sha256(image.tobytes()).hexdigest() for image in images)


def contents(images: Images) -> Iterator[bytes]:
    """What to hash of images: the pixels of packed ones; of streamed ones a hash of each file, decoding nothing."""
    if isinstance(images, StreamedImages):
        yield from images.digests()
        return
    step = rows_at_once(images)
    for start in range(0, len(images), step):
        yield images[start : start + step].tobytes()
