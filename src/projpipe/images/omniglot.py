"""Omniglot: 20 drawings of each character of many alphabets, from the official zips or unpacked folders."""

import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath

from projpipe.errors import InputError
from projpipe.images.decode import read_file
from projpipe.images.packing import pack
from projpipe.images.raw import RawImages
from projpipe.record import regular_file

PLACE = "split_tasks.source.path"
FORM = "<alphabet>/<character>/<drawing>.png"
MOST_BYTES = 2**24  # of a drawing; Omniglot's have about 200


def read_omniglot(paths: Sequence[Path], image_size: int, downloads: Path) -> RawImages:
    """Images [N, image_size, image_size, 1] of zips or folders, or of the background set downloaded into `downloads`.

    A class is a character, named `<alphabet>/<character>`; a group is an alphabet. Folders above the alphabets do not
    matter, and a drawing that is in several zips is taken once. The drawings are black on white; here ink is bright on
    black, so that an empty pixel is 0, and the 105 x 105 pixels are brought to `image_size` with antialiasing. A zip is
    read without unpacking it.

    Raises InputError if there is no such file, it is no zip, or holds no `<alphabet>/<character>/<drawing>.png`.
    Source: Lake, Salakhutdinov, Tenenbaum, Science 350 (2015); https://github.com/brendenlake/omniglot.
    """
    with ExitStack() as opened:
        drawings: dict[str, Callable[[], bytes]] = {}
        for path in paths or [_download(downloads)]:
            drawings = _drawings(path, opened) | drawings
        names = sorted(drawings)
        labels = [(name.split("/")[0], name.rpartition("/")[0]) for name in names]
        return pack(names, lambda name: drawings[name](), labels, image_size, grey=True, invert=True)


def _drawings(path: Path, opened: ExitStack) -> dict[str, Callable[[], bytes]]:
    """What reads each drawing of a zip or folder, by `<alphabet>/<character>/<drawing>.png`."""
    names, read = _open(path, opened)
    found: dict[str, Callable[[], bytes]] = {}
    for name in names:
        parts = PurePosixPath(name).parts
        # macOS adds hidden twins of each file when it makes a zip.
        if len(parts) >= 3 and name.endswith(".png") and not any(p.startswith((".", "__MACOSX")) for p in parts):
            found["/".join(parts[-3:])] = partial(read, name)
    if not found:
        raise InputError(f"{PLACE}: {path} holds no {FORM}; give Omniglot's zip or its unpacked folder")
    return found


def _open(path: Path, opened: ExitStack) -> tuple[list[str], Callable[[str], bytes]]:
    """The names of the files of a zip or folder, and what reads one."""
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("*.png")]
        return names, lambda name: read_file(path / name)
    try:
        archive = opened.enter_context(zipfile.ZipFile(regular_file(path)))
    except FileNotFoundError as error:
        raise InputError(
            f"{PLACE}: there is no {path}; give an Omniglot zip or an unpacked folder, or null to download it"
        ) from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise InputError(f"{PLACE}: {path} is not a whole zip file ({error}); download it again") from error
    for member in archive.infolist():
        if member.file_size > MOST_BYTES and member.filename.endswith(".png"):
            raise InputError(
                f"{PLACE}: {member.filename} of {path} would be {member.file_size:,} bytes, which no drawing is; "
                "download it again"
            )
    return archive.namelist(), archive.read


def _download(downloads: Path) -> Path:
    from torchvision.datasets import Omniglot  # only a download needs it

    try:
        return Path(Omniglot(str(downloads), download=True).target_folder)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{PLACE}: Omniglot cannot be downloaded into {downloads} ({reason}); give the path of its zip or folder"
        ) from error
