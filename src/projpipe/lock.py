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
def locked(folder: Path, lock: Path | None = None) -> Iterator[None]:
    """While the body runs, refuse the folder to others who ask for it in this way.

    However this process ends, the folder is free afterwards. The file `lock` says who has it; by default it is in the
    folder itself, which is made where it is not there.

    Raises:
        InputError: another process has the folder, and it says which; or something else is there.
    """
    lock = folder / LOCK if lock is None else lock
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{error.filename}: cannot be made a folder, as a file or a link to nothing is there; remove it, or make "
            "the folder that the link leads to"
        ) from error
    with lock.open("a+", encoding="utf-8") as file:
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
