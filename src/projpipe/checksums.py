"""Checksums of what is read again later, beside it, in the form that `sha256sum --check` reads."""

from collections.abc import Iterable
from pathlib import Path

from projpipe.atomic import write_atomically
from projpipe.record import file_sha256

CHECKSUMS = "checksums"  # in an environment's folder of data: a folder for each pipeline, and in it a file a data set


def listing(data: Path, pipeline: str, dataset: str) -> Path:
    """Where the checksums of a data set of a pipeline are kept, in an environment's folder of data."""
    return data / CHECKSUMS / pipeline / f"{dataset}.sha256"


def write_checksums(data: Path, pipeline: str, dataset: str, path: Path) -> None:
    """Keep the checksum of each file of a data set that a pipeline has written to a path, a file or a folder."""
    files = sorted(file for file in (path, *path.rglob("*")) if file.is_file())
    with write_atomically(listing(data, pipeline, dataset)) as temporary:
        list_files(temporary, files, data)


def changed_file(data: Path, dataset: str) -> tuple[Path, str] | None:
    """The first file of a data set that is gone or is not what was written, and the pipeline that wrote it.

    None where there is none, or where no checksums are kept, as older versions kept none.
    """
    for kept in sorted(data.glob(f"{CHECKSUMS}/*/{dataset}.sha256")):
        if changed := changed_of(kept, data):
            return changed, kept.parent.name
    return None


def list_files(listing: Path, files: Iterable[Path], folder: Path) -> None:
    """Write the checksums of files, which are named from a folder on."""
    lines = [f"{_checksum(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    listing.write_text("".join(lines), encoding="utf-8")


def changed_of(listing: Path, folder: Path) -> Path | None:
    """The first file of a list that is gone or was changed since `list_files` wrote the list, or the list itself."""
    for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
        checksum, _, name = line.partition("  ")
        if not name:
            return listing
        if _checksum(folder / name) != checksum:
            return folder / name
    return None


def _checksum(path: Path) -> str | None:
    """SHA-256 of a file; None where it cannot be read."""
    try:
        return file_sha256(path)
    except OSError:
        return None
