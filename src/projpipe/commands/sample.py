"""`projpipe sample`: pictures drawn from a small image model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projpipe.commands.arguments import Folder, NamedPath, as_json
from projpipe.errors import InputError, printable

if TYPE_CHECKING:
    import numpy as np

MARK = ("Software", "projpipe sample")  # in every picture that is written, so that --force knows its own
SMALLEST = 64  # pixels across of a picture on a sheet
GAP = 2  # pixels between pictures on a sheet, before they are enlarged


@click.command(short_help="Draw pictures from a small image model.")
@click.argument("model", type=Folder("model", draws=True))
@click.option("--out", type=NamedPath(), required=True, help="A sheet (*.png), or a folder of pictures.")
@click.option("--count", type=click.IntRange(min=1, max=10_000), default=16, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Fixes the draw.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Below 1, likely pixels get likelier.")
@click.option("--top-k", type=int, help="Draw from so many of the likeliest symbols alone.")
@click.option("--force", is_flag=True, help="Replace what projpipe sample wrote before.")
@as_json
def sample(
    model: Path, out: Path, count: int, seed: int, temperature: float, top_k: int | None, force: bool, as_json: bool
) -> None:
    """Draw pictures from MODEL, the folder of a small image model.

    OUT is one sheet where it ends in .png, else a folder with a file for each picture.

    \b
    projpipe sample model --count 16 --out drawn.png
    """
    from projpipe.commands.output import output, show

    if out.suffix and not _is_sheet(out):
        fix = f"end it in .png, or leave {out.suffix} out for a folder"
        raise InputError(f"--out: {out} names a file of another kind than is written; {fix}")
    with output(out, force, _drawn, "is not what `projpipe sample` wrote", "path") as temporary:
        from projpipe.commands.classify import no_number
        from projpipe.students.student import load_student

        student = load_student(model)
        try:
            pictures = student.sample(count, seed, temperature, top_k)
        except FloatingPointError as error:
            raise no_number(model) from error
        _write(pictures, temporary, sheet=_is_sheet(out))
    if as_json:
        classes = list(student.classes)
        show({"out": str(out), "classes": classes, "count": count, "seed": seed, "temperature": temperature}, True, [])
    else:
        click.echo(printable(f"{out}: {count} picture{'s' * (count > 1)}, seed {seed}"))


def _is_sheet(out: Path) -> bool:
    return out.suffix.lower() == ".png"


def _drawn(out: Path) -> bool:
    """Whether what is there is a sheet, or a folder of nothing but numbered pictures, that this command wrote."""
    if _is_sheet(out):
        return _is_marked(out)
    return out.is_dir() and all(re.fullmatch(r"\d+\.png", path.name) and _is_marked(path) for path in out.iterdir())


def _is_marked(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return MARK in picture.info.items()
    except (OSError, Image.DecompressionBombError):
        return False


def _write(pictures: np.ndarray, path: Path, sheet: bool) -> None:
    """Pictures uint8 `[N, H, W, 1]` as one sheet, or as files of a folder."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text(*MARK)
    if sheet:
        Image.fromarray(_sheet(pictures)).save(path, format="PNG", pnginfo=mark)
        return
    path.mkdir()
    digits = len(str(len(pictures)))
    for number, picture in enumerate(pictures, start=1):
        Image.fromarray(picture[..., 0]).save(path / f"{number:0{digits}}.png", pnginfo=mark)


def _sheet(pictures: np.ndarray) -> np.ndarray:
    """Pictures `[N, H, W, 1]` side by side, as nearly in a square as may be, enlarged to be seen: `[H', W']`."""
    import numpy as np

    count, height, width, _ = pictures.shape
    columns = int(np.ceil(count**0.5))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), 128, np.uint8)
    for position, picture in enumerate(pictures[..., 0]):
        top, left = position // columns * (height + GAP), position % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    times = max(1, -(-SMALLEST // width))
    return sheet.repeat(times, 0).repeat(times, 1)
