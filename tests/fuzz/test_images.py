"""Whatever bytes a picture has, `projpipe predict` answers, twice the same, or refuses it in one line."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import event, example, given
from hypothesis import strategies as st
from PIL import Image

from makers import is_one_short_line, within_limits
from projpipe.commands.main import main
from projpipe.errors import InputError
from projpipe.images.pictures import read_picture
from projpipe.objectives import Classification
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source

MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "JPEG": ["L", "RGB", "CMYK"],
    "GIF": ["1", "L", "P", "RGB"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"],
    "WEBP": ["RGB", "RGBA"],
}
SIZES = [(1, 1), (7, 5), (40, 40), (30_000, 1), (1, 30_000)]
ANIMATED = ("PNG", "GIF", "TIFF", "WEBP")


@cache
def picture(form: str, mode: str, size: tuple[int, int], frames: int) -> bytes:
    """A whole file of noise."""
    if form == "WEBP":
        size = min(size[0], 16_383), min(size[1], 16_383)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    if mode[0] in "IF":
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        one = Image.fromarray((noise[..., 0] * 257.0).astype(kind))
    else:
        one = Image.new(mode, size) if mode == "LAB" else Image.fromarray(noise).convert(mode)
    content = io.BytesIO()
    more = {"save_all": True, "append_images": (frames - 1) * [one]} if frames > 1 else {}
    one.save(content, form, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", **more)
    return content.getvalue()


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A picture of any usual kind, as it is or with bytes that are changed, cut out, doubled or put in."""
    form = draw(st.sampled_from(sorted(MODES)))
    frames = draw(st.sampled_from([1, 3])) if form in ANIMATED else 1
    content = bytearray(picture(form, draw(st.sampled_from(MODES[form])), draw(st.sampled_from(SIZES)), frames))
    for _ in range(draw(st.integers(0, 4))):
        # Most of what decides how a file is read stands at its beginning.
        at = draw(st.integers(0, min(len(content), draw(st.sampled_from([64, 1024, 10**6])))))
        change = draw(st.sampled_from(["overwrite", "cut out", "double", "put in", "cut off"]))
        if change == "overwrite":
            some = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\x7f\xff"]))
            content[at : at + len(some)] = some
        elif change == "cut out":
            del content[at : at + draw(st.integers(1, 64))]
        elif change == "double":
            content[at:at] = content[at : at + draw(st.integers(1, 64))]
        elif change == "put in":
            content[at:at] = draw(st.binary(max_size=32))
        else:
            del content[at:]
    return bytes(content)


@pytest.fixture(scope="module")
def model(source: Source, objective: Classification, tmp_path_factory: pytest.TempPathFactory) -> Path:
    conditioning = Conditioning(experts=3, film=True, task_embed_dim=8)
    operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), conditioning, seed=0).eval()
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    Projector(operator, objective, {"classes": list("abcdefghij")}, {}).student(["a", "b"]).save(folder)
    return folder


def bomb(mode: str) -> bytes:
    """Few bytes that are as many pixels as may be."""
    content = io.BytesIO()
    Image.new(mode, (9000, 9000)).save(content, "PNG")
    return content.getvalue()


@given(content=files())
@example(content=b"")
@example(content=bomb("I;16"))
@example(content=bomb("RGBA"))
@example(content=b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
def test_a_picture_is_answered_twice_the_same_or_refused_in_one_line(
    content: bytes, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = model.parent / "picture.png"
    path.write_bytes(content)
    with within_limits():
        result = CliRunner().invoke(main, ["predict", str(model), str(path), "--json"])
    if result.exit_code == 0:
        event("accepted")
        assert result.stderr == ""
        assert CliRunner().invoke(main, ["predict", str(model), str(path), "--json"]).stdout == result.stdout
    else:
        event("refused")
        assert isinstance(result.exception, SystemExit)
        assert (result.exit_code, result.stdout) == (2, "[]\n")
        assert result.stderr.startswith(f"Error: {path}: ")
        assert is_one_short_line(result.stderr.removesuffix("\n"))
    assert capfd.readouterr() == ("", "")


def read_or_refused(path: Path) -> np.ndarray | InputError:
    try:
        return read_picture(path, (8, 8), grey=False)
    except InputError as error:
        return error


@given(content=files())
def test_a_picture_is_read_in_colour_or_refused_in_one_line(
    content: bytes, model: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = model.parent / "colour.png"
    path.write_bytes(content)
    with within_limits():
        found = read_or_refused(path)
    if isinstance(found, InputError):
        event("refused")
        assert is_one_short_line(str(found))
    else:
        event("accepted")
        assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
        assert np.array_equal(read_or_refused(path), found)
    assert list(recwarn) == []
