import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from projpipe.errors import InputError
from projpipe.images.idx import read_idx


def as_idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@given(values=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)), zipped=st.booleans())
def test_an_array_written_as_idx_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, zipped: bool
) -> None:
    path = tmp_path_factory.mktemp("idx") / "values"
    path.write_bytes(gzip.compress(as_idx(values)) if zipped else as_idx(values))
    assert np.array_equal(read_idx(path, values.ndim), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (as_idx(VALUES)[:-1], "23 bytes of values where its header promises 24 \\(2 x 3 x 4\\)"),
        (as_idx(VALUES) + b"?", "holds more bytes of values where its header promises 24"),
        (as_idx(VALUES)[:9], "ends within its header of 16 bytes"),
        (as_idx(VALUES[0]), "starts with 00 00 08 02, not with 00 00 08 03"),
        (b"\x00\x00\x0d\x03" + as_idx(VALUES)[4:], "starts with 00 00 0d 03"),
        (b"", "starts with nothing"),
        (gzip.compress(as_idx(VALUES))[:-9], "cannot be read"),
        (gzip.compress(as_idx(VALUES))[:-8] + bytes(8), "cannot be read"),
    ],
    ids=["short", "long", "header", "dimensions", "type", "empty", "cut gzip", "gzip of wrong checksum"],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read_idx(path, 3)
    assert str(path) in str(raised.value)
    assert "download it again" in str(raised.value)


def test_no_more_is_unpacked_than_the_header_promises(tmp_path: Path) -> None:
    path = tmp_path / "bomb-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(as_idx(VALUES) + bytes(200 * 10**6), 1))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="holds more bytes of values where its header promises 24"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**16, 2**16, 2**16)))
    with pytest.raises(InputError, match=r"its header promises 281,474,976,710,656 .* bytes of values, more than"):
        read_idx(path, 3)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe-idx3-ubyte")
    with pytest.raises(InputError, match="is no regular file"):
        read_idx(tmp_path / "pipe-idx3-ubyte", 3)
