"""Omniglot: 20 drawings of each character of many alphabets, from the official zip or an unpacked folder."""

import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from projpipe.errors import InputError
from projpipe.images.packing import pack
from projpipe.images.raw import RawImages

PLACE = "split_tasks.source.path"
FORM = "<alphabet>/<character>/<drawing>.png"


def read_omniglot(path: Path | None, image_size: int, downloads: Path) -> RawImages:
    """Images [N, image_size, image_size, 1] of a zip or folder, or of the background set downloaded into `downloads`.

    A class is a character, named `<alphabet>/<character>`; a group is an alphabet. Folders above the alphabets do not
    matter. The drawings are black on white; here ink is bright on black, so that an empty pixel is 0, and the 105 x 105
    pixels are brought to `image_size` with antialiasing. A zip is read without unpacking it.

    Raises InputError if there is no such file, it is no zip, or holds no `<alphabet>/<character>/<drawing>.png`.
    Source: Lake, Salakhutdinov, Tenenbaum, Science 350 (2015); https://github.com/brendenlake/omniglot.
    """
    path = path or _download(downloads)
    if path.is_dir():
        return _pack(path, [p.relative_to(path).as_posix() for p in path.rglob("*.png")], _reader(path), image_size)
    try:
        with zipfile.ZipFile(path) as archive:
            return _pack(path, archive.namelist(), archive.read, image_size)
    except FileNotFoundError as error:
        raise InputError(
            f"{PLACE}: there is no {path}; give an Omniglot zip or an unpacked folder, or null to download it"
        ) from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{PLACE}: {path} is not a whole zip file ({error}); download it again") from error


def _reader(folder: Path) -> Callable[[str], bytes]:
    return lambda name: (folder / name).read_bytes()


def _pack(path: Path, names: list[str], read: Callable[[str], bytes], image_size: int) -> RawImages:
    drawings = []
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        # macOS adds hidden twins of each file when it makes a zip.
        if len(parts) >= 3 and name.endswith(".png") and not any(p.startswith((".", "__MACOSX")) for p in parts):
            drawings.append((name, (parts[-3], f"{parts[-3]}/{parts[-2]}")))
    if not drawings:
        raise InputError(f"{PLACE}: {path} holds no {FORM}; give Omniglot's zip or its unpacked folder")
    return pack(
        [name for name, _ in drawings], read, [label for _, label in drawings], image_size, grey=True, invert=True
    )


def _download(downloads: Path) -> Path:
    from torchvision.datasets import Omniglot  # only a download needs it

    try:
        return Path(Omniglot(str(downloads), download=True).target_folder)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{PLACE}: Omniglot cannot be downloaded into {downloads} ({reason}); give the path of its zip or folder"
        ) from error
