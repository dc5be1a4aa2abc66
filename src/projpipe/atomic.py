"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from projpipe.errors import is_full
from projpipe.lock import LOCK, locked

UNFINISHED, RESUMABLE, REPLACED = ".unfinished-", ".resumable", ".replaced"
LONGEST_SUFFIX = 16  # bytes; behind a dot in a name there may be much that is none
KEY = ".key"  # in a resumable folder: what it is made of
_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2(2); macOS's renamex_np takes the same 2


@contextmanager
def write_atomically(path: Path, replace: bool = True, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; what the body writes there, a file or a folder, then takes its place.

    Without `replace` nothing may be there by then. If the body fails, `path` stays as it was and nothing is left
    behind. Missing parent folders are made. Files get the mode that new files have here, whatever a library gave them
    (safetensors keeps others from reading). What is `durable` has reached the disk when it takes its place.
    """
    path = Path(path)
    made = [parent for parent in path.parents if not parent.exists()]  # the deepest first
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path, replace, durable) as written:
            yield written
    except BaseException:
        for parent in made:
            with suppress(OSError):  # it was not made after all, or holds something else by now
                parent.rmdir()
        raise


@contextmanager
def write_resumably(path: Path, key: str, replace: bool = True) -> Iterator[Path]:
    """Give a folder beside `path` that takes its place when the body ends, as `write_atomically` does.

    What is in it when the program is stopped or killed, or the disk is full, stays, and is given again to the next that
    asks with the same `key`; with another, it is removed. If the body fails otherwise, nothing is left behind.

    Raises:
        InputError: another program is at work on it.
    """
    unfinished, lock = path.with_name(f".{path.name}{RESUMABLE}"), path.with_name(f".{path.name}{LOCK}")
    made_for = unfinished / KEY
    with locked(path, lock):
        if not (made_for.is_file() and made_for.read_text() == key):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            made_for.write_text(key)
        tidy_up(unfinished)
        try:
            yield unfinished
            made_for.unlink()  # so that nobody goes on with what is replaced, and then lies here
            os.sync()
            _put(unfinished, path, replace)
        except Exception as error:
            if not is_full(error):
                shutil.rmtree(unfinished)
            lock.unlink()
            raise
        shutil.rmtree(unfinished, ignore_errors=True)
        lock.unlink()


def tidy_up(folder: Path) -> None:
    """Remove what killed programs left half-written anywhere in a folder.

    What was just being replaced is put back. No other program may be writing there.
    """
    for aside in folder.rglob(f".*{REPLACED}"):
        path = aside.with_name(aside.name.removeprefix(".").removesuffix(REPLACED))
        if path.exists():
            _remove(aside)
        else:
            aside.rename(path)
    for unfinished in list(folder.rglob(f".*{UNFINISHED}*")):
        _remove(unfinished)


@contextmanager
def _replacing(path: Path, replace: bool, durable: bool) -> Iterator[Path]:
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= LONGEST_SUFFIX else ""  # libraries may look at it
    written = path.with_name(f".{path.name}{UNFINISHED}{secrets.token_hex(4)}{suffix}")
    try:
        yield written
        mode = _mode_of_new_files(written.with_name(f"{written.name}.mode"))
        for file in (written, *written.rglob("*")):
            if file.is_file():
                file.chmod(mode)
            if durable:
                _flush(file)
        _put(written, path, replace)
        if durable:
            _flush(path.parent)
    finally:
        _remove(written)


def _mode_of_new_files(probe: Path) -> int:
    probe.touch()
    mode = probe.stat().st_mode
    probe.unlink()
    return mode


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _put(written: Path, path: Path, replace: bool) -> None:
    """Have what is written take its place; a folder that was there is left in the place of the new one, or removed."""
    if not replace and path.exists():
        raise FileExistsError(errno.EEXIST, "another program has made it meanwhile", str(path))
    if not path.is_dir():
        os.replace(written, path)
        return
    if _exchange(written, path):
        return
    aside = path.with_name(f".{path.name}{REPLACED}")
    os.replace(path, aside)
    try:
        os.replace(written, path)
    except BaseException:
        os.replace(aside, path)
        raise
    _remove(aside)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False where the system, or the file system, has no such step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = libc.renamex_np(os.fsencode(one), os.fsencode(other), _EXCHANGE)
    elif hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    else:
        return False
    if failed and (number := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    return not failed


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
