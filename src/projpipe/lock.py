"""A folder for one program at a time."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projpipe.errors import InputError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While the body runs, refuse the folder to others who ask for it in this way; it is made where it is not there.

    However this process ends, the folder is free afterwards.

    Raises:
        InputError: another process has the folder; says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise InputError(
                f"{folder}: is in use by another run ({file.read().strip() or 'it has just started'}); wait until that "
                "has ended, or stop it"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}: {' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
