import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from projpipe.reporting.examples import COLUMNS, GREY, RULE, ExampleRow, examples_figure, mosaic


def drawn(number: int, channels: int = 1, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (number, height, width, channels), dtype=np.uint8)


def pixels(trace: Any) -> np.ndarray:
    """What a trace shows: RGBA [H, W, 4]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(trace.source.split(",")[1]))))


def texts(figure: Any) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def test_every_cell_that_has_images_is_one_trace_and_an_empty_one_says_so(examples: list[ExampleRow]) -> None:
    figure = examples_figure(examples, "Examples")
    assert [(trace.type, trace.xaxis) for trace in figure.data] == [
        ("image", "x"),
        ("image", "x2"),
        ("image", f"x{COLUMNS + 1}"),
    ]
    assert texts(figure).count("none") == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_the_pixels_of_every_image_are_in_its_cell(channels: int) -> None:
    images = drawn(5, channels)
    shown = pixels(examples_figure([ExampleRow("task", {"test": images})], "").data[0])

    enlarged = 8  # from 8 to 64 pixels
    for position, image in enumerate(images):
        top, left = (RULE + at * (64 + RULE) for at in divmod(position, 3))
        tile = shown[top : top + 64, left : left + 64]
        assert (tile[..., 3] == 255).all()
        for offset in (0, enlarged - 1):  # both ends of every enlarged pixel
            assert (tile[offset::enlarged, offset::enlarged, :3] == image).all()
    assert (shown[:RULE] == GREY).all()
    assert (shown[-64:, -64:, 3] == 0).all()  # there is room for nine images, and there are five


def test_large_images_are_not_enlarged_and_sides_may_differ() -> None:
    images = drawn(1, channels=3, height=70, width=90)
    shown = mosaic(images, side=1)
    assert shown.shape == (70 + 2 * RULE, 90 + 2 * RULE, 4)
    assert (shown[RULE:-RULE, RULE:-RULE, :3] == images[0]).all()


def test_images_are_of_one_size_in_all_cells_and_keep_their_shape(examples: list[ExampleRow]) -> None:
    figure = examples_figure(examples, "Examples")
    assert len({pixels(trace).shape for trace in figure.data}) == 1
    for trace in figure.data:
        number = trace.xaxis[1:]
        assert figure.layout[f"yaxis{number}"].scaleanchor == trace.xaxis
        assert not figure.layout[f"xaxis{number}"].visible


def test_columns_are_named_once_and_rows_by_their_task_as_text(examples: list[ExampleRow]) -> None:
    names = [text.replace("<br>", "") for text in texts(examples_figure(examples, "Examples"))]
    assert sorted(names) == sorted(
        [
            "3 &lt;script&gt;alert(1)&lt;/script&gt;",
            "4, 5",
            "none",
            "test images",
            "Teacher &amp;&lt;b&gt;more&lt;/b&gt;",
        ]
    )


def test_the_figure_grows_with_its_rows(examples: list[ExampleRow]) -> None:
    one, two, four = (examples_figure(rows, "").layout.height for rows in (examples[:1], examples, examples * 2))
    assert two - one > 100
    assert four - two == 2 * (two - one)


def test_a_row_without_any_image_is_drawn() -> None:
    figure = examples_figure([ExampleRow("task", {"right": drawn(0), "wrong": drawn(0)})], "")
    assert not figure.data
    assert texts(figure).count("none") == 2
