"""Pictures that the notebooks show, drawn with Pillow, which projpipe brings."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from IPython import display
from PIL import Image, ImageDraw, ImageFont

from projpipe.students.size_table import MeasuredSize, SizeTable

WIDTH, PHOTO, LINE, EDGE = 1400, 200, 40, 20  # pixels
FONT = ImageFont.load_default(26)
DARK, QUIET, BLUE, LIGHT_BLUE, ORANGE = "#1f2328", "#57606a", "#0072b2", "#b7d5e8", "#d55e00"


def answers(photos: Sequence[Path], said: Mapping[str, Sequence[Mapping[str, float]]]) -> display.Image:
    """Photographs, a row each, and beside them the probabilities that every model gives; the likeliest is dark.

    Args:
        said: for each model's name, what it says of each photograph: probabilities by class.
    """
    height = max(PHOTO, LINE * max(len(one) for one in said[next(iter(said))])) + EDGE
    picture, draw = _blank(LINE + EDGE + height * len(photos))
    column = (WIDTH - PHOTO - EDGE) // len(said)
    for row, photo in enumerate(photos):
        picture.paste(_photo(photo), (EDGE, LINE + EDGE + height * row))
    for number, (model, of_photos) in enumerate(said.items()):
        left = PHOTO + 3 * EDGE + column * number
        draw.text((left, EDGE // 2), model, DARK, FONT)
        for row, shares in enumerate(of_photos):
            for line, (name, share) in enumerate(shares.items()):
                top = LINE + EDGE + height * row + LINE * line
                room = column - 350
                colour = BLUE if share == max(shares.values()) else LIGHT_BLUE
                draw.text((left, top), name, DARK, FONT)
                draw.rectangle((left + 200, top + 5, left + 203 + room * share, top + LINE - 11), colour)
                draw.text((left + 215 + room * share, top), f"{100 * share:.0f} %", DARK, FONT)
    return _jpeg(picture)


def sheet(photos: Sequence[Path], captions: Sequence[str], columns: int = 6) -> display.Image:
    """Photographs in rows, each with lines of text below it."""
    height = PHOTO + LINE * (1 + max(caption.count("\n") for caption in captions)) + EDGE
    picture, draw = _blank(EDGE + height * math.ceil(len(photos) / columns))
    for number, (photo, caption) in enumerate(zip(photos, captions, strict=True)):
        left, top = EDGE + (WIDTH - EDGE) // columns * (number % columns), EDGE + height * (number // columns)
        picture.paste(_photo(photo), (left, top))
        draw.multiline_text((left, top + PHOTO + 4), caption, DARK, FONT)
    return _jpeg(picture)


def sizes(table: SizeTable) -> display.Image:
    """The score of every measured size against its parameters and its latency; the recommended one has a ring."""
    picture, draw = _blank(600)
    half = WIDTH // 2
    _panel(draw, (110, half - 40), table, lambda size: size.params / 1000, "thousand parameters")
    _panel(draw, (half + 90, WIDTH - 40), table, lambda size: size.latency_ms, "ms for one image")
    return _jpeg(picture)


def _panel(
    draw: ImageDraw.ImageDraw,
    across: tuple[int, int],
    table: SizeTable,
    cost: Callable[[MeasuredSize], float],
    title: str,
) -> None:
    """One diagram with a logarithmic axis of costs; a line joins those that are better than all cheaper ones."""
    low, high = min(map(cost, table.sizes)) / 1.1, max(map(cost, table.sizes)) * 1.1
    scores = [100 * size.score for size in table.sizes]
    bottom, top = 5 * math.floor(min(scores) / 5), 5 * math.ceil(max(scores) / 5)

    def place(value: float, score: float) -> tuple[float, float]:
        x = across[0] + (across[1] - across[0]) * math.log(value / low) / math.log(high / low)
        return x, 500 - 430 * (score - bottom) / (top - bottom)

    for score in range(bottom, top + 1, 5):
        (left, y), (right, _) = place(low, score), place(high, score)
        draw.line((left, y, right, y), "#d8dee4", 2)
        draw.text((left - 12, y), f"{score} %", QUIET, FONT, anchor="rm")
    for tick in (digit * 10.0**power for power in range(-3, 6) for digit in range(1, 6)):
        if low <= tick <= high:
            draw.text((place(tick, bottom)[0], 512), f"{tick:g}", QUIET, FONT, anchor="mt")
    draw.text((sum(across) / 2, 552), title, DARK, FONT, anchor="mt")
    draw.text((across[0] - 90, 10), f"{table.measure.title} on validation tasks", DARK, FONT)
    best: list[tuple[float, float]] = []
    for size in sorted(table.sizes, key=cost):
        x, y = place(cost(size), 100 * size.score)
        if not best or y < best[-1][1]:
            best.append((x, y))
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), BLUE)
        if size == table.sizes[table.recommended]:
            draw.ellipse((x - 17, y - 17, x + 17, y + 17), outline=ORANGE, width=4)
    draw.line(best, BLUE, 2)


def _blank(height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (WIDTH, height), "white")
    return picture, ImageDraw.Draw(picture)


def _jpeg(picture: Image.Image) -> display.Image:
    content = io.BytesIO()  # a quarter of the bytes of a PNG, which go into the notebook
    picture.save(content, "JPEG", quality=80)
    return display.Image(content.getvalue())


def _photo(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB").resize((PHOTO, PHOTO), Image.Resampling.BICUBIC)
