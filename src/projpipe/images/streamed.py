"""Images that stay in their files: to those who read them an array, whose rows are decoded when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import get_worker_info

from projpipe.errors import InputError
from projpipe.images.decode import MAX_THREADS, decode, in_threads, read_file

SAMPLE = 256  # files whose bytes are compared with what is recorded, whatever their size and time


class StreamedImages:
    """Images uint8 `[N, H, W, C]` in files, for what reads `shape`, `len` and `images[rows]` of a packed array.

    What comes out is, pixel for pixel, what `packing.pack` would have packed. Several threads decode, but in a worker
    of a DataLoader only one: there are other workers. Only names are kept in memory, as bytes.

    Args:
        root: folder of the files.
        names: of the files `[N]`, relative to `root`.
        image_size: of the square images.
        grey: one channel instead of three.
        recorded: what was known of the files when they were listed, see `record`; None where they are listed now.
        filename: where `stored.write_images` has put this list; as numpy says of an array that is mapped from a file.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        root: Path,
        names: Sequence[str] | np.ndarray,
        image_size: int,
        grey: bool,
        filename: Path | None = None,
        recorded: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.root, self.image_size, self.grey, self.filename = root, image_size, grey, filename
        # Not a list: a worker that is forked would copy all of it as it counts references.
        self._names = names if isinstance(names, np.ndarray) else np.array([os.fsencode(name) for name in names])
        self._stamps: np.ndarray | None = None  # sizes and times, int64 [N, 2]
        self._digests: np.ndarray | None = None  # uint8 [N, 32]
        if recorded is not None:
            self._stamps = np.array([recorded["sizes"], recorded["times"]], np.int64).T.reshape(len(self), 2)
            self._digests = np.frombuffer(bytes.fromhex("".join(recorded["sha256"])), np.uint8).reshape(-1, 32)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(N, H, W, C)`."""
        return len(self), self.image_size, self.image_size, 1 if self.grey else 3

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """Images uint8 `[n, H, W, C]`, or `[H, W, C]` of a single row, as indexing an array gives them.

        Raises:
            IndexError: there is no such row.
            InputError: a file is gone or cannot be decoded; names it.
        """
        if not isinstance(rows, slice) and np.ndim(rows) == 0:
            return self._decode(self._names[int(rows)])
        names = self._names[rows]
        images = np.empty((len(names), *self.shape[1:]), np.uint8)

        def decode_into(index: int) -> None:
            images[index] = self._decode(names[index])

        in_threads(decode_into, range(len(names)), _threads())
        return images

    def take(self, rows: np.ndarray, axis: int = 0) -> StreamedImages:
        """Only some rows, as `numpy.ndarray.take` along the first axis, without reading them."""
        return StreamedImages(self.root, self._names[rows], self.image_size, self.grey)

    @property
    def names(self) -> list[str]:
        """Paths of the files, relative to `root`."""
        return [os.fsdecode(name) for name in self._names.tolist()]

    def digests(self) -> Iterator[bytes]:
        """A hash of the bytes of every file, in order: as recorded, else all are read, once and without decoding."""
        if self._digests is None:
            found = b"".join(in_threads(self._digest, self._names.tolist()))
            self._digests = np.frombuffer(found, np.uint8).reshape(-1, 32)
        return (digest.tobytes() for digest in self._digests)

    def record(self) -> dict[str, list[Any]]:
        """Size, time of the last change and hash of every file, for `check_recorded` to compare with."""
        sizes, times = zip(*in_threads(self._stamp, self._names.tolist()), strict=True)
        return {"sizes": list(sizes), "times": list(times), "sha256": [digest.hex() for digest in self.digests()]}

    def check_recorded(self) -> None:
        """Compare files with what is recorded of them, if anything is.

        Sizes and times of all are, and the bytes of those whose time differs and of a sample of the others.

        Raises:
            InputError: names the first file that is gone or was changed.
        """
        if self._stamps is None:
            return
        known, digests = self._stamps, list(self.digests())
        stamps = np.array(in_threads(self._stamp, self._names.tolist()))
        asked = (stamps != known).any(1)
        asked[:: -(-len(self) // SAMPLE)] = True

        def check(row: int) -> None:
            if stamps[row, 0] != known[row, 0] or self._digest(self._names[row]) != digests[row]:
                raise self._unreadable(self._names[row], ValueError("it was changed since it was listed"))

        in_threads(check, np.flatnonzero(asked).tolist())

    def _stamp(self, name: bytes) -> tuple[int, int]:
        try:
            found = (self.root / os.fsdecode(name)).stat()
        except OSError as error:
            raise self._unreadable(name, error) from error
        return found.st_size, found.st_mtime_ns

    def _digest(self, name: bytes) -> bytes:
        return hashlib.sha256(self._content(name)).digest()

    def _decode(self, name: bytes) -> np.ndarray:
        content = self._content(name)
        try:
            return decode(content, (self.image_size, self.image_size), self.grey)
        except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
            raise self._unreadable(name, error) from error

    def _content(self, name: bytes) -> bytes:
        try:
            return read_file(self.root / os.fsdecode(name))
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: bytes, error: Exception) -> InputError:
        reason = str(error) or type(error).__name__
        return InputError(
            f"{self.root / os.fsdecode(name)}: cannot be read ({reason}); put it back, or remove it and list the "
            "images again with the pipeline split_tasks"
        )


Images = np.ndarray | StreamedImages  # uint8 [N, H, W, C]


def _threads() -> int:
    return 1 if get_worker_info() is not None else min(MAX_THREADS, os.cpu_count() or 1)
