"""The IDX format of MNIST and its relatives: a magic number, big-endian sizes, then the values."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from projpipe.errors import InputError

UNSIGNED_BYTES = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read a uint8 array of so many dimensions from an IDX file, gzipped or plain (told by its first bytes).

    Raises InputError if the file is not IDX, holds another type or number of dimensions, or is not exactly as long as
    its header says. Format: http://yann.lecun.com/exdb/mnist (section 'File formats').
    """
    fix = "download it again"
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); {fix}") from error
    header = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, UNSIGNED_BYTES, dimensions)):
        raise InputError(
            f"{path}: starts with {content[:4].hex(' ') or 'nothing'}, not with 00 00 08 {dimensions:02x} as an IDX "
            f"file of unsigned bytes in {dimensions} dimensions does; {fix}"
        )
    if len(content) < header:
        raise InputError(f"{path}: ends within its header of {header} bytes; {fix}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) != header + math.prod(shape):
        raise InputError(
            f"{path}: holds {len(content) - header:,} bytes of values where its header promises {math.prod(shape):,} "
            f"({' x '.join(map(str, shape))}); {fix}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
