"""What projpipe raises for input that a person can fix, and how it says so."""

import difflib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


class InputError(ValueError):
    """Bad input: the message names the value, the place it came from, and how to fix it."""


class DivergenceError(InputError):
    """A loss that is no number any more: the learning rate is too high for what is trained."""


def did_you_mean(wrong: object, known: Iterable[str], otherwise: str, count: int = 1, cutoff: float = 0.6) -> str:
    """The end of a message about a name that does not exist: at most `count` of those like it, else `otherwise`.

    Args:
        cutoff: how much alike, from 0 (not at all) to 1, as of `difflib.get_close_matches`.
    """
    near = difflib.get_close_matches(str(wrong), list(known), n=count, cutoff=cutoff)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else otherwise


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def disk_problem(error: BaseException, folder: Path) -> str | None:
    """What is wrong with the disk that a folder is on, where that is what an error says; else None.

    Libraries wrap the system's error, and other processes pass it on as text.
    """
    said = str(error)
    if any(os.strerror(number) in said for number in (errno.ENOSPC, errno.EDQUOT)):
        disk = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_mount())
        free = shutil.disk_usage(disk).free / 2**20
        return f"{folder}: the disk {disk} is full ({free:.0f} MB are free); make room, and run the same command again"
    if isinstance(error, OSError) and error.filename and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{error.filename}: cannot be written ({error.strerror}); allow it, or use another folder"
    return None
