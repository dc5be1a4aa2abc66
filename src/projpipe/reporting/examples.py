"""The figure of images that models draw: a row for every task, a mosaic of images in every cell."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image
from plotly.subplots import make_subplots

from projpipe.reporting.style import TITLE, broken, finish

ROW, GAP, LEFT, LINE = 150, 14, 130, 18  # pixels of the page: of a row, between rows, for names, for a line of text
COLUMNS = 5  # as many at least have room, so that the cells of fewer stay together
TILE = 64  # pixels of a mosaic that the shorter side of an image has at least: a smoothed enlargement keeps its squares
RULE = 5  # pixels between the images of a mosaic
GREY = (127, 127, 127, 255)  # is seen on white and on black paper, between white and between black images


@dataclass(frozen=True)
class ExampleRow:
    """Example images of one task.

    Args:
        task: its name.
        cells: images by the name of their column, uint8 [n, H, W, C] with C 1 or 3; n may be 0.
    """

    task: str
    cells: Mapping[str, NDArray[np.uint8]]


def examples_figure(rows: Sequence[ExampleRow], title: str) -> go.Figure:
    """A mosaic of images for every task and column; columns are the cells of the first row, in its order.

    All mosaics have room for as many images as the fullest one, so that images are of one size. A cell without images
    says 'none'.
    """
    columns = list(rows[0].cells)
    side = math.isqrt(max(1, *(len(images) for row in rows for images in row.cells.values())) - 1) + 1
    height = ROW * len(rows) + GAP * (len(rows) - 1)
    width = max(len(columns), COLUMNS)
    figure = make_subplots(rows=len(rows), cols=width, vertical_spacing=GAP / height, horizontal_spacing=0.012)
    for at, row in enumerate(rows, start=1):
        for column, name in enumerate(columns, start=1):
            _draw_cell(figure, row.cells[name], side, row=at, col=column)
        across = figure.get_subplot(at, 1).yaxis.domain
        label(
            figure,
            broken(row.task, 16),
            x=0,
            y=sum(across) / 2,
            xanchor="right",
            yanchor="middle",
            xshift=-10,
            align="right",
        )
    headings = [broken(name, 14) for name in columns]
    for column, heading in enumerate(headings, start=1):
        along = figure.get_subplot(1, column).xaxis.domain
        label(figure, heading, x=sum(along) / 2, y=1, xanchor="center", yanchor="bottom", yshift=6)
    finish(figure, title)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, constrain="domain")
    top = TITLE + LINE * (1 + max(heading.count("<br>") for heading in headings)) + 10
    return figure.update_layout(margin={"l": LEFT, "r": 10, "t": top, "b": 10}, height=top + height + 10)


def mosaic(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Images [n, H, W, C] as one picture [height, width, 4] of `side` by `side` tiles, transparent where none is.

    Small images are enlarged by a whole factor; every image has a thin rule around it.
    """
    enlarged = -(-TILE // min(images.shape[1:3]))
    tiles = images.repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    height, width = (length + RULE for length in tiles.shape[1:3])
    picture = np.zeros((side * height + RULE, side * width + RULE, 4), dtype=np.uint8)
    for position, tile in enumerate(tiles):
        top, left = position // side * height, position % side * width
        picture[top : top + height + RULE, left : left + width + RULE] = GREY
        picture[top + RULE : top + height, left + RULE : left + width, :3] = tile  # one channel is repeated
    return picture


def _draw_cell(figure: go.Figure, images: NDArray[np.uint8], side: int, row: int, col: int) -> None:
    subplot = figure.get_subplot(row, col)
    if not len(images):
        x, y = (sum(axis.domain) / 2 for axis in (subplot.xaxis, subplot.yaxis))
        label(figure, "none", x=x, y=y, xanchor="center", yanchor="middle", opacity=0.6)
        return
    picture = mosaic(images, side)
    # smoothed, as what the page makes smaller by dropping lines would be uneven; the squares are large enough for it
    figure.add_image(source=data_uri(picture), zsmooth="fast", hoverinfo="skip", row=row, col=col)
    height, width, _ = picture.shape
    subplot.xaxis.update(range=[-0.5, width - 0.5])
    subplot.yaxis.update(range=[height - 0.5, -0.5], scaleanchor=subplot.xaxis.plotly_name.replace("axis", ""))


def label(figure: go.Figure, text: str, **annotation: object) -> None:
    """Write a text at a place of the page."""
    figure.add_annotation(text=text, showarrow=False, xref="paper", yref="paper", **annotation)


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture [height, width, 4] as what a page can hold."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
