import io
import logging
import os
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from projpipe.images import decode as decoding
from projpipe.images.decode import decode, in_threads, of_pillow, read_file
from projpipe.images.packing import pack

Encode = Callable[..., bytes]


def gradient(height: int, width: int) -> np.ndarray:
    return np.add.outer(np.arange(height) * 3, np.arange(width) * 5).astype(np.uint8)


def saved(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def test_a_picture_of_the_wanted_size_keeps_its_pixels(encode: Encode) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 7, 3), np.uint8)
    assert np.array_equal(decode(encode(colours), (7, 7), grey=False), colours)
    assert np.array_equal(decode(encode(gradient(7, 7)), (7, 7), grey=True)[..., 0], gradient(7, 7))


def test_the_shorter_side_is_resized_and_the_centre_cut_out(encode: Encode) -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    assert decode(encode(wide), (10, 10), grey=True).min() == 255
    assert decode(encode(wide.T), (10, 10), grey=True).min() == 255
    assert decode(encode(np.repeat(np.repeat(wide, 2, 0), 2, 1)), (10, 10), grey=True)[:, 1:-1].min() == 255


def test_shrinking_averages_instead_of_skipping_pixels(encode: Encode) -> None:
    stripes = np.tile(np.array([[0], [255]], np.uint8), (32, 64))
    assert np.ptp(decode(encode(stripes), (8, 8), grey=True)[1:-1]) < 10
    assert abs(int(decode(encode(stripes), (8, 8), grey=True)[4, 4, 0]) - 127) < 10


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn to the left
    turned = decode(saved(Image.fromarray(gradient(6, 6)), exif=exif.tobytes()), (6, 6), grey=True)[..., 0]
    assert np.array_equal(turned, np.rot90(gradient(6, 6), -1))


def test_deep_greys_keep_their_range() -> None:
    deep = np.linspace(0, 65535, 36).reshape(6, 6)
    for form in ("PNG", "TIFF"):
        content = saved(Image.fromarray(deep.astype(np.uint16)), form)
        assert np.abs(decode(content, (6, 6), grey=True)[..., 0] - deep / 257).max() <= 1
        assert decode(content, (6, 6), grey=False).shape == (6, 6, 3)
    content = saved(Image.fromarray((deep / 65535).astype(np.float32)), "TIFF")
    assert np.abs(decode(content, (6, 6), grey=True)[..., 0] - deep / 257).max() <= 1


def test_transparent_parts_are_white() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    half = decode(saved(Image.fromarray(pixels)), (4, 4), grey=False)
    assert half[:2].max() == 0
    assert half[2:].min() == 255
    palette = Image.fromarray(np.repeat([0, 1], 8).astype(np.uint8).reshape(4, 4), "P")
    palette.putpalette([200, 0, 0, 0, 0, 0])
    half = decode(saved(palette, transparency=1), (4, 4), grey=False)
    assert half[:2].reshape(-1, 3).tolist() == [[200, 0, 0]] * 8
    assert half[2:].min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("grey", [True, False])
def test_every_usual_mode_gives_the_wanted_channels(mode: str, grey: bool) -> None:
    picture = Image.new(mode, (5, 5))
    content = saved(picture, "TIFF" if mode == "CMYK" else "PNG")
    assert decode(content, (5, 5), grey).shape == (5, 5, 1 if grey else 3)


def test_packing_skips_and_names_what_cannot_be_decoded(
    encode: Encode, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    files = {f"good{n}": encode(np.full((8, 8, 3), n, np.uint8)) for n in range(6)}
    files |= {
        "cut.png": encode(noise)[:-30],
        "cut.jpg": encode(noise, "JPEG")[:-30],
        "text.png": b"not an image",
        "empty.png": b"",
        "bomb.png": encode(np.zeros((11, 10, 3), np.uint8)),
        "bigger bomb.png": encode(np.zeros((30, 10, 3), np.uint8)),
    }
    names = sorted(files)
    labels = [("", "even" if n.startswith("good") and int(n[-1]) % 2 == 0 else "odd") for n in names]
    with caplog.at_level(logging.WARNING):
        raw = pack(names, files.__getitem__, labels, 8, grey=False)
    assert set(raw.unreadable) == {name for name in files if not name.startswith("good")}
    assert "6 of 12 images" in caplog.text
    assert all(name in caplog.text for name in raw.unreadable)
    assert raw.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert raw.class_ids.tolist() == [0, 1, 0, 1, 0, 1]
    assert raw.classes == ("even", "odd")


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"]


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_a_large_picture_is_converted_in_strips_to_the_same_pixels(
    mode: str, grey: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 40, 4), np.uint8)
    if mode[0] in "IF":
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray((noise[..., 0] / (255.0 if mode == "F" else 1 / 257)).astype(kind))
    elif mode == "PA":
        picture = Image.fromarray(noise[..., :2].copy(), "LA").convert("PA")
    else:
        picture = Image.fromarray(noise).convert(mode)
    whole = decoding._to_bytes(picture, grey)
    monkeypatch.setattr(decoding, "STRIP", 150)
    strips = decoding._to_bytes(picture, grey)
    assert strips.mode == whole.mode == ("L" if grey else "RGB")
    assert strips.tobytes() == whole.tobytes()


def test_deep_greys_take_hardly_more_memory_than_they_have_pixels() -> None:
    content = saved(Image.fromarray(np.zeros((3000, 3000), np.uint16)))
    tracemalloc.start()
    try:
        decode(content, (8, 8), grey=True)
        assert tracemalloc.get_traced_memory()[1] < 60 * 10**6
    finally:
        tracemalloc.stop()


def test_the_limit_is_on_pixels_times_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_BYTES", 1000)
    assert decode(saved(Image.new("L", (20, 20))), (8, 8), grey=True).shape == (8, 8, 1)
    with pytest.raises(ValueError, match="20 x 20 pixels of RGB take 3,200 bytes, more than 1,000"):
        decode(saved(Image.new("RGB", (20, 20))), (8, 8), grey=True)
    with pytest.raises(ValueError, match="20 x 20 pixels of I;16 take 1,600 bytes"):
        decode(saved(Image.new("I;16", (20, 20))), (8, 8), grey=True)


def test_numbers_that_are_none_are_black() -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, 0.5]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(saved(Image.fromarray(values), "TIFF"), (2, 2), grey=True)[..., 0].tolist() == [
            [0, 255],
            [0, 128],
        ]


def test_what_pillow_thinks_of_a_picture_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    palette = Image.new("P", (4, 4))
    palette.info["transparency"] = b"\x00\x80"
    content = saved(palette, "PNG", transparency=b"\x00\x80")
    exif = saved(Image.new("RGB", (4, 4)), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01\x03\x00")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with of_pillow():
            decode(content, (4, 4), grey=False)
            decode(exif, (4, 4), grey=False)
        in_threads(lambda one: decode(one, (4, 4), False), [content, exif])
    assert shown == []
    logging.getLogger("PIL.TiffImagePlugin").error("more samples than can be decoded")
    assert capfd.readouterr() == ("", "")


def test_only_regular_files_of_some_size_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OSError, match="is no regular file"):
        read_file(tmp_path / "pipe.png")  # would wait for ever
    assert not decoding.has_header(tmp_path / "pipe.png")
    (tmp_path / "large.png").write_bytes(bytes(11))
    monkeypatch.setattr(decoding, "MOST_BYTES", 10)
    with pytest.raises(OSError, match="its 11 bytes are more than 10"):
        read_file(tmp_path / "large.png")


def test_names_of_files_reach_no_terminal_as_they_are(encode: Encode, caplog: pytest.LogCaptureFixture) -> None:
    files = {"\x1b]0;title\a.png": b"", **{f"{n}.png": encode(np.full((4, 4), n, np.uint8)) for n in range(3)}}
    raw = pack(list(files), files.__getitem__, len(files) * [("", "a")], 4, grey=True)
    assert raw.unreadable == ("\x1b]0;title\a.png",)
    assert r"cannot be read: \x1b]0;title\x07.png" in caplog.text
