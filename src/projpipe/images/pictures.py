"""Pictures that a person names: files, folders and patterns, read one by one."""

import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from projpipe.errors import InputError
from projpipe.images.decode import decode, image_extensions, of_pillow, read_file


def find_pictures(named: Sequence[str]) -> list[Path]:
    """The pictures of files, folders (with all below them) and glob patterns, in the order named, those of one sorted.

    A file that is named itself is taken whatever its ending. Hidden files and folders are passed over.

    Raises:
        InputError: what is named is not there, cannot be read, or holds no picture.
    """
    return [path for name in named for path in _find(name)]


def _find(name: str) -> list[Path]:
    try:
        path = Path(name) if Path(name).exists() else Path(name).expanduser()
        if path.is_file():
            return [path]
        matching = glob(str(path), recursive=True) if name else []
        named = [path] if name and path.is_dir() else sorted(map(Path, matching))
        pictures = [picture for one in named for picture in _below(one)]
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{name[:100]!r}: cannot be read ({error}); give an image, a folder or a pattern") from error
    if not named:
        fix = "give an image, a folder or a pattern such as '*.png'"
        raise InputError(f"{name!r}: there is no such file or folder; {fix}")
    if not pictures:
        raise InputError(f"{name!r}: holds no image that Pillow reads; give an image, a folder of them or a pattern")
    return pictures


def _below(path: Path) -> list[Path]:
    """The pictures of a folder, sorted, links followed; or the picture itself."""
    if not path.is_dir():
        return [path] if path.suffix.lower() in image_extensions() else []
    found: list[Path] = []
    seen: set[str] = set()  # links may make a circle
    for folder, subfolders, files in os.walk(path, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        names = [name for name in files if not name.startswith(".")]
        found += [Path(folder, name) for name in names if Path(name).suffix.lower() in image_extensions()]
    return sorted(found)


def read_picture(path: Path, image_size: tuple[int, int], grey: bool) -> np.ndarray:
    """One picture as uint8 [H, W, 1 or 3], as `decode` brings it to `image_size` (H, W).

    Raises:
        InputError: it cannot be read, or is so large that it may be a decompression bomb.
    """
    try:
        with of_pillow():
            return decode(read_file(path), image_size, grey)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is no image of a known format; leave it out or replace it") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
        reason = str(error) or type(error).__name__
        raise InputError(f"{path}: is no image that can be read ({reason}); leave it out or replace it") from error
