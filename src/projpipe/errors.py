"""What projpipe raises for input that a person can fix, and how it says so."""

import difflib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

LONGEST, KEPT_END = 800, 300  # characters of a message, and of its end, where the mend stands


class InputError(ValueError):
    """Bad input: the message names the value, the place it came from, and how to fix it, in `one_line`."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class DivergenceError(InputError):
    """A loss that is no number any more: the learning rate is too high for what is trained."""


def one_line(message: str) -> str:
    """A message that may quote anything, as one short line that a terminal shows as it is; cut in its middle."""
    line = printable(re.sub(r"\s*\n\s*", " ", message.strip()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - KEPT_END - 3]} … {line[-KEPT_END:]}"


def printable(text: str) -> str:
    """Free text without the characters that would move the cursor or change the terminal's colours."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def did_you_mean(wrong: object, known: Iterable[str], otherwise: str, count: int = 1, cutoff: float = 0.6) -> str:
    """The end of a message about a name that does not exist: at most `count` of those like it, else `otherwise`.

    Args:
        cutoff: how much alike, from 0 (not at all) to 1, as of `difflib.get_close_matches`.
    """
    near = difflib.get_close_matches(str(wrong)[:LONGEST], list(known), n=count, cutoff=cutoff)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else otherwise


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full; libraries wrap the system's, other processes pass it on as text."""
    return any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))


def disk_problem(error: BaseException, folder: Path) -> str | None:
    """What is wrong with the disk that a folder is on, where that is what an error says; else None."""
    if is_full(error):
        # Ray, and checkpoints on their way, are in the folder of temporary files.
        found = [_disk_of(path) for path in (folder, Path(tempfile.gettempdir()))]
        disk = min(found, key=lambda disk: shutil.disk_usage(disk).free)
        free = shutil.disk_usage(disk).free / 2**20
        return f"{folder}: the disk {disk} is full ({free:.0f} MB are free); make room, and run the same command again"
    if isinstance(error, OSError) and error.filename and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{error.filename}: cannot be opened or written ({error.strerror}); allow it, or use another folder"
    return None


def _disk_of(path: Path) -> Path:
    return next(parent for parent in (path.resolve(), *path.resolve().parents) if parent.is_mount())
