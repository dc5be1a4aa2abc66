"""Images that stay in their files: to those who read them an array, whose rows are decoded when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from projpipe.errors import InputError
from projpipe.images.decode import AT_ONCE, MAX_THREADS, decode, in_threads, read_file


class StreamedImages:
    """Images uint8 `[N, H, W, C]` in files, for what reads `shape`, `len` and `images[rows]` of a packed array.

    What comes out is, pixel for pixel, what `packing.pack` would have packed. Several threads decode, but in a worker
    of a DataLoader only one: there are other workers. Only names are kept in memory, as bytes.

    Args:
        root: folder of the files.
        names: of the files `[N]`, relative to `root`.
        image_size: of the square images.
        grey: one channel instead of three.
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
    ) -> None:
        self.root, self.image_size, self.grey, self.filename = root, image_size, grey, filename
        # Not a list: a worker that is forked would copy all of it as it counts references.
        self._names = names if isinstance(names, np.ndarray) else np.array([os.fsencode(name) for name in names])

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
        wanted = np.arange(len(self))[rows]
        if wanted.ndim == 0:
            return self._decode(int(wanted))
        images = np.empty((len(wanted), *self.shape[1:]), np.uint8)

        def decode_into(index: int) -> None:
            images[index] = self._decode(int(wanted[index]))

        in_threads(decode_into, range(len(wanted)), _threads())
        return images

    def take(self, rows: np.ndarray, axis: int = 0) -> StreamedImages:
        """Only some rows, as `numpy.ndarray.take` along the first axis, without reading them."""
        return StreamedImages(self.root, self._names[rows], self.image_size, self.grey)

    @property
    def names(self) -> list[str]:
        """Paths of the files, relative to `root`."""
        return [os.fsdecode(name) for name in self._names.tolist()]

    def digests(self) -> Iterator[bytes]:
        """A hash of the bytes of every file, in order. Reads all of them, without decoding."""

        def digest(name: bytes) -> bytes:
            return hashlib.sha256(self._content(name)).digest()

        for start in range(0, len(self), AT_ONCE):
            yield from in_threads(digest, self._names[start : start + AT_ONCE].tolist())

    def _decode(self, row: int) -> np.ndarray:
        name = self._names[row]
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
