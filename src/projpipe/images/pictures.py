"""Pictures that a person names: files, folders and patterns, read one by one."""

from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path

import numpy as np

from projpipe.errors import InputError
from projpipe.images.decode import decode, image_extensions, no_bombs


def find_pictures(named: Sequence[str]) -> list[Path]:
    """The pictures of files, folders (with all below them) and glob patterns, in the order named, those of one sorted.

    A file that is named itself is taken whatever its ending.

    Raises:
        InputError: what is named is not there, or holds no picture.
    """
    return [path for name in named for path in _find(name)]


def _find(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    found: Iterable[Path]
    if path.is_dir():
        found = path.rglob("*")
    elif has_magic(name):
        found = map(Path, glob(str(path), recursive=True))
    else:
        raise InputError(
            f"{name}: there is no such file or folder; give an image, a folder or a pattern such as '*.png'"
        )
    pictures = sorted(one for one in found if one.suffix.lower() in image_extensions() and one.is_file())
    if not pictures:
        raise InputError(f"{name}: holds no image that Pillow reads; give an image, a folder of them or a pattern")
    return pictures


def read_picture(path: Path, image_size: tuple[int, int], grey: bool) -> np.ndarray:
    """One picture as uint8 [H, W, 1 or 3], as `decode` brings it to `image_size` (H, W).

    Raises:
        InputError: it cannot be read, or is so large that it may be a decompression bomb.
    """
    try:
        with no_bombs():
            return decode(path.read_bytes(), image_size, grey)
    except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
        reason = str(error).replace(repr(path), "it") or type(error).__name__
        raise InputError(f"{path}: is no image that can be read ({reason}); leave it out or replace it") from error
