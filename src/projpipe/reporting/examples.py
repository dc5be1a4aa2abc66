"""Examples for the beginning of the report: photographs and what models say of them, or pictures that models draw."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 64  # pixels that the shorter side of a picture has at least: a smoothed enlargement keeps its squares
RULE = 5  # pixels between the pictures of a mosaic
GREY = (127, 127, 127, 255)  # is seen on white and on black paper, between white and between black pictures


class Answer(TypedDict):
    """What a model takes a photograph for, and whether it is that."""

    model: str
    says: str
    right: bool


class Card(TypedDict):
    """A picture as a data URI, None where there is none, and what is written under it; drawn ones have no answers."""

    picture: str | None
    title: str
    answers: list[Answer]


class Example(TypedDict):
    """The cards of one task."""

    task: str
    cards: list[Card]


def answered(
    task: str, pictures: NDArray[np.uint8], classes: Sequence[str], answers: Mapping[str, Sequence[str]]
) -> Example:
    """A card for every picture of uint8 `[n, H, W, C]`, C 1 or 3: its class, and the class that each model names."""
    cards = [
        Card(
            picture=data_uri(picture),
            title=_own_name(truth),
            answers=[
                Answer(model=model, says=_own_name(said[at]), right=said[at] == truth)
                for model, said in answers.items()
            ],
        )
        for at, (picture, truth) in enumerate(zip(_enlarged(pictures), classes, strict=True))
    ]
    return Example(task=task, cards=cards)


def drawn(task: str, cells: Mapping[str, NDArray[np.uint8]]) -> Example:
    """A card with a mosaic for every cell: its title, and pictures uint8 `[n, H, W, C]`, C 1 or 3, where n may be 0.

    All mosaics have room for as many pictures as the fullest one, so that pictures are of one size.
    """
    side = math.isqrt(max(1, *map(len, cells.values())) - 1) + 1
    return Example(
        task=task,
        cards=[
            Card(picture=data_uri(mosaic(pictures, side)) if len(pictures) else None, title=title, answers=[])
            for title, pictures in cells.items()
        ],
    )


def mosaic(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Pictures [n, H, W, C] as one [height, width, 4] of `side` by `side` tiles, transparent where none is.

    Every picture has a thin rule around it.
    """
    tiles = _enlarged(pictures)
    height, width = (length + RULE for length in tiles.shape[1:3])
    whole = np.zeros((side * height + RULE, side * width + RULE, 4), dtype=np.uint8)
    for position, tile in enumerate(tiles):
        top, left = position // side * height, position % side * width
        whole[top : top + height + RULE, left : left + width + RULE] = GREY
        whole[top + RULE : top + height, left + RULE : left + width, :3] = tile  # one channel is repeated
    return whole


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture [height, width, 1, 3 or 4] as what a page can hold."""
    file = io.BytesIO()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _enlarged(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Small pictures [n, H, W, C] enlarged by a whole factor."""
    times = -(-TILE // min(pictures.shape[1:3]))
    return pictures.repeat(times, axis=1).repeat(times, axis=2)


def _own_name(name: str) -> str:
    """A class's own name without its group's."""
    return name.rpartition("/")[2].replace("_", " ")
