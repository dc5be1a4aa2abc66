"""The IDX format of MNIST and its relatives: a magic number, big-endian sizes, then the values."""

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from projpipe.errors import InputError
from projpipe.record import regular_file

UNSIGNED_BYTES = 0x08
MOST_VALUES = 2**31  # four times those of EMNIST, the largest relative of MNIST
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read a uint8 array of so many dimensions from an IDX file, gzipped or plain (told by its first bytes).

    No more of it is read than its header promises.

    Raises InputError if the file is not IDX, holds another type or number of dimensions, promises more than
    `MOST_VALUES`, or is not exactly as long as its header says. Format: http://yann.lecun.com/exdb/mnist (section 'File
    formats').
    """
    fix = "download it again"
    try:
        with regular_file(path).open("rb") as file:
            zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            return _read(gzip.open(file) if zipped else file, path, dimensions, fix)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); {fix}") from error


def _read(file: BufferedIOBase, path: Path, dimensions: int, fix: str) -> np.ndarray:
    header = 4 + 4 * dimensions
    content = file.read(header)
    if content[:4] != bytes((0, 0, UNSIGNED_BYTES, dimensions)):
        raise InputError(
            f"{path}: starts with {content[:4].hex(' ') or 'nothing'}, not with 00 00 08 {dimensions:02x} as an IDX "
            f"file of unsigned bytes in {dimensions} dimensions does; {fix}"
        )
    if len(content) < header:
        raise InputError(f"{path}: ends within its header of {header} bytes; {fix}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    promised = f"{math.prod(shape):,} ({' x '.join(map(str, shape))})"
    if math.prod(shape) > MOST_VALUES:
        raise InputError(f"{path}: its header promises {promised} bytes of values, more than {MOST_VALUES:,}; {fix}")
    values = file.read(math.prod(shape))
    if len(values) != math.prod(shape) or file.read(1):
        held = f"{len(values):,}" if len(values) < math.prod(shape) else "more"
        raise InputError(f"{path}: holds {held} bytes of values where its header promises {promised}; {fix}")
    return np.frombuffer(values, np.uint8).reshape(shape)
