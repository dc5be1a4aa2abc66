"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def write_atomically(path: Path, replace: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; what the body writes there, a file or a folder, then takes its place.

    Without `replace` nothing may be there by then. If the body fails, `path` stays as it was and nothing is left
    behind. Missing parent folders are made. Files get the mode that new files have here, whatever a library gave them
    (safetensors keeps others from reading).
    """
    path = Path(path)
    made = [parent for parent in path.parents if not parent.exists()]  # the deepest first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path, replace) as written:
            yield written
    except BaseException:
        for parent in made:
            with suppress(OSError):  # it was not made after all, or holds something else by now
                parent.rmdir()
        raise


@contextmanager
def _replacing(path: Path, replace: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        written = Path(scratch) / path.name
        yield written
        probe, replaced = Path(scratch) / f"{path.name}.mode", Path(scratch) / f"{path.name}.replaced"
        probe.touch()
        for file in (written, *written.rglob("*")):
            if file.is_file():
                file.chmod(probe.stat().st_mode)
        if not replace and path.exists():
            raise FileExistsError(errno.EEXIST, "another program has made it meanwhile", str(path))
        try:
            if path.is_dir():
                # A folder cannot be replaced in one step: the old one goes aside, and with the scratch.
                os.replace(path, replaced)
            os.replace(written, path)
        except BaseException:
            if replaced.exists() and not path.exists():
                os.replace(replaced, path)
            raise
