"""Small image files to read back."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def encode(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    """`pixels` [H, W] or [H, W, C] as the bytes of an image file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, form, **options)
    return content.getvalue()


@pytest.fixture(name="encode", scope="session")
def encode_fixture() -> Callable[..., bytes]:
    return encode


@pytest.fixture
def fill() -> Callable[..., None]:
    """Writes `count` PNG files into a folder; the first is black, and each later one brighter."""

    def write(folder: Path, count: int = 3, size: tuple[int, int] = (6, 6)) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / f"{number}.png").write_bytes(encode(np.full((*size, 3), 20 * number, np.uint8)))

    return write
