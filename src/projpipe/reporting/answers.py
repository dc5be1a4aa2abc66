"""The figure of answers: photographs of some tasks, and under each of them what every model says that it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from projpipe.reporting.examples import data_uri, label, mosaic
from projpipe.reporting.style import TITLE, broken, escaped, finish

PICTURE, LINE, GAP, LEFT = 96, 17, 30, 170  # pixels: of an image, of a line of text, between tasks, for names
LONGEST = 15  # characters of an answer
RIGHT, WRONG = ("#00795a", "\N{CHECK MARK}"), ("#b34700", "\N{MULTIPLICATION X}")


@dataclass(frozen=True)
class AnsweredTask:
    """Images of one task and what models say of them.

    Args:
        task: its name.
        pictures: uint8 `[n, H, W, C]` with C 1 or 3.
        classes: the name of each image's class.
        answers: by the name of the model, the name of the class that it takes each image for.
    """

    task: str
    pictures: NDArray[np.uint8]
    classes: Sequence[str]
    answers: Mapping[str, Sequence[str]]


def answers_figure(tasks: Sequence[AnsweredTask], title: str) -> go.Figure:
    """A row of images for every task; under each image its class, and a line for the answer of each model."""
    columns = max(len(task.pictures) for task in tasks)
    lines = 1 + max(len(task.answers) for task in tasks)
    between = lines * LINE + GAP
    height = len(tasks) * (PICTURE + between)
    figure = make_subplots(rows=len(tasks), cols=columns, vertical_spacing=between / height, horizontal_spacing=0.01)
    for at, task in enumerate(tasks, start=1):
        bottom, top = figure.get_subplot(at, 1).yaxis.domain
        beside = {"x": 0, "xanchor": "right", "yanchor": "middle", "align": "right", "xshift": -10}
        label(figure, f"<b>{broken(task.task, 20)}</b>", y=(bottom + top) / 2, **beside)
        for line, name in enumerate(("what it is", *task.answers)):
            label(figure, escaped(name), y=bottom, yshift=-LINE * (line + 0.7), **beside)
        for column, picture in enumerate(task.pictures, start=1):
            _draw(figure, picture, at, column)
            below = {"x": sum(figure.get_subplot(at, column).xaxis.domain) / 2, "y": bottom, "yanchor": "middle"}
            label(figure, f"<b>{_short(task.classes[column - 1])}</b>", yshift=-LINE * 0.7, xanchor="center", **below)
            for line, answers in enumerate(task.answers.values(), start=1):
                colour, mark = RIGHT if answers[column - 1] == task.classes[column - 1] else WRONG
                label(
                    figure,
                    f"{mark} {_short(answers[column - 1])}",
                    yshift=-LINE * (line + 0.7),
                    xanchor="center",
                    font={"color": colour, "size": 11},
                    **below,
                )
    finish(figure, title)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, constrain="domain")
    margin = {"l": LEFT, "r": 10, "t": TITLE + 10, "b": between}
    return figure.update_layout(margin=margin, height=height - between + margin["t"] + margin["b"])


def _draw(figure: go.Figure, picture: NDArray[np.uint8], row: int, col: int) -> None:
    framed = mosaic(picture[None], side=1)
    figure.add_image(source=data_uri(framed), zsmooth="fast", hoverinfo="skip", row=row, col=col)
    subplot, (height, width, _) = figure.get_subplot(row, col), framed.shape
    subplot.xaxis.update(range=[-0.5, width - 0.5])
    subplot.yaxis.update(range=[height - 0.5, -0.5], scaleanchor=subplot.xaxis.plotly_name.replace("axis", ""))


def _short(name: str) -> str:
    """A class's own name without its group's, cut where it is long."""
    own = name.rpartition("/")[2].replace("_", " ")
    return escaped(own if len(own) <= LONGEST else own[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}")
