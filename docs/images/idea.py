"""Draw what projpipe is about, for light and for dark pages: `python docs/images/idea.py`.

One large Transformer, the projector, and three small Transformers for three tasks. The models are those that `make run`
makes, drawn to scale: 8 blocks of width 96, and 2 blocks of width 12. The digits are scikit-learn's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 960, 336
MIDDLE = 134  # the height at which light leaves the projector

LENS_HALF = 42
UNIT = 2.0  # pixels for each of a block's `embed_dim`
BLOCK_HEIGHT, GAP = 24, 6
LARGE_DIM, LARGE_DEPTH, LARGE_HEADS = 96, 8, 4
SMALL_DIM, SMALL_DEPTH, SMALL_HEADS = 12, 2, 2

LARGE_LEFT, LENS, SMALL_LEFT, DIGITS_LEFT = 56, 430, 650, 706
TASKS = ((3, 5, 7), (0, 1), (4, 6, 8, 9))
ROWS = (38, MIDDLE, 230)  # middle of each small model
EXAMPLE = {0: 7, 1: 2, 3: 7, 4: 9, 5: 1, 6: 3, 7: 0, 8: 2, 9: 0}  # which image of each class
CELL = 6  # pixels for each pixel of a digit


@dataclass(frozen=True)
class Theme:
    """Colours of one of the two pictures."""

    text: str
    quiet: str
    large: str
    projector: str
    tasks: tuple[str, str, str]
    beam: float  # opacity


THEMES = {
    "light": Theme("#1f2328", "#59636e", "#475569", "#1f2937", ("#0f766e", "#c2410c", "#6d28d9"), 0.16),
    "dark": Theme("#f0f6fc", "#9198a1", "#94a3b8", "#e2e8f0", ("#2dd4bf", "#fb923c", "#a78bfa"), 0.20),
}


def draw(theme: Theme) -> str:
    """The picture as SVG."""
    elements = list(_large(theme))
    for classes, row, colour in zip(TASKS, ROWS, theme.tasks, strict=True):
        elements += [_beam(row, colour, theme), *_small(row, colour), *_digits(classes, row, colour)]
    elements += [_projector(theme), *_captions(theme)]
    title = "One large Transformer, one projector, three small Transformers for three tasks"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="-apple-system, BlinkMacSystemFont, Segoe UI, Helvetica, Arial, sans-serif">\n'
        f"<title>{title}</title>\n" + "\n".join(elements) + "\n</svg>\n"
    )


def _large(theme: Theme) -> Iterator[str]:
    yield from _model(LARGE_LEFT, MIDDLE, LARGE_DIM, LARGE_DEPTH, LARGE_HEADS, theme.large)
    top, bottom = _extent(MIDDLE, LARGE_DEPTH)
    right = LARGE_LEFT + UNIT * LARGE_DIM + 10
    light = f"{right},{top} {LENS},{MIDDLE - LENS_HALF} {LENS},{MIDDLE + LENS_HALF} {right},{bottom}"
    yield f'<polygon points="{light}" fill="{theme.large}" opacity="{theme.beam}"/>'


def _projector(theme: Theme) -> str:
    """A lens, which is what a projector has."""
    top, height = MIDDLE - LENS_HALF - 8, 2 * LENS_HALF + 16
    lens = f"M{LENS},{top} q40,{height / 2} 0,{height} q-40,{-height / 2} 0,{-height} z"
    return f'<path d="{lens}" fill="{theme.projector}"/>'


def _beam(row: float, colour: str, theme: Theme) -> str:
    top, bottom = _extent(row, SMALL_DEPTH)
    lean = 2 * LENS_HALF / 3 * (row - MIDDLE) / (ROWS[2] - MIDDLE)
    start, end, half = LENS, SMALL_LEFT - 10, LENS_HALF / 3
    points = f"{start},{MIDDLE + lean - half:g} {end},{top} {end},{bottom} {start},{MIDDLE + lean + half:g}"
    return f'<polygon points="{points}" fill="{colour}" opacity="{theme.beam + 0.06:.2f}"/>'


def _small(row: float, colour: str) -> Iterator[str]:
    yield from _model(SMALL_LEFT, row, SMALL_DIM, SMALL_DEPTH, SMALL_HEADS, colour)


def _model(left: float, middle: float, dim: int, depth: int, heads: int, colour: str) -> Iterator[str]:
    """Blocks one above the other, each with its attention heads as holes."""
    top, _ = _extent(middle, depth)
    width = UNIT * dim
    radius = min(6.5, width / heads / 4)
    for block in range(depth):
        y = top + block * (BLOCK_HEIGHT + GAP)
        box = f"M{left + 5},{y} h{width - 10} a5,5 0 0 1 5,5 v{BLOCK_HEIGHT - 10} a5,5 0 0 1 -5,5 h{10 - width} "
        box += f"a5,5 0 0 1 -5,-5 v{10 - BLOCK_HEIGHT} a5,5 0 0 1 5,-5 z"
        holes = (_circle(left + width * (head + 0.5) / heads, y + BLOCK_HEIGHT / 2, radius) for head in range(heads))
        yield f'<path d="{box} {" ".join(holes)}" fill="{colour}" fill-rule="evenodd"/>'


def _circle(x: float, y: float, radius: float) -> str:
    half = f"a{radius:g},{radius:g} 0 1 0"
    return f"M{x - radius:g},{y:g} {half} {2 * radius:g},0 {half} {-2 * radius:g},0 z"


def _extent(middle: float, depth: int) -> tuple[float, float]:
    """Top and bottom of a model."""
    half = (depth * (BLOCK_HEIGHT + GAP) - GAP) / 2
    return middle - half, middle + half


def _digits(classes: tuple[int, ...], row: float, colour: str) -> Iterator[str]:
    """An image of each class, darker where the pen was."""
    digits = load_digits()
    side = 8 * CELL
    for position, name in enumerate(classes):
        left, top = DIGITS_LEFT + position * (side + 6), row - side / 2
        image = digits.images[np.flatnonzero(digits.target == name)[EXAMPLE[name]]]
        yield f'<g fill="{colour}" shape-rendering="crispEdges" transform="translate({left:g},{top:g}) scale({CELL})">'
        for y, x in np.argwhere(image > 2):
            yield f'<rect x="{x}" y="{y}" width="1" height="1" opacity="{image[y, x] / 16:.2f}"/>'
        yield "</g>"


def _captions(theme: Theme) -> Iterator[str]:
    captions = (
        (LARGE_LEFT + UNIT * LARGE_DIM / 2, "one large Transformer", "898,090 parameters"),
        (LENS, "one projector", "trained once"),
        (786, "a small one for each task", "2,300 parameters, made in 2 ms"),
    )
    for x, said, more in captions:
        text = f'<text x="{x:g}" text-anchor="middle"'
        yield f'{text} y="302" font-size="18" font-weight="600" fill="{theme.text}">{said}</text>'
        yield f'{text} y="326" font-size="16" fill="{theme.quiet}">{more}</text>'


if __name__ == "__main__":
    for name, theme in THEMES.items():
        (FOLDER / f"idea-{name}.svg").write_text(draw(theme))
