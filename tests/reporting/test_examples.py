import base64
import io
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from projpipe.reporting.examples import GREY, RULE, TILE, answered, drawn, mosaic


def images(number: int, channels: int = 1, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (number, height, width, channels), dtype=np.uint8)


def pixels(card: Mapping[str, object]) -> np.ndarray:
    """What a card shows: [H, W] of a grey picture, or [H, W, C]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(str(card["picture"]).split(",")[1]))))


@pytest.mark.parametrize("channels", [1, 3])
def test_every_photograph_has_a_card_with_what_it_is_and_what_each_model_says(channels: int) -> None:
    pictures, truth = images(3, channels), ["fish/shark", "fish/ray", "a_long_name"]
    found = answered("fish", pictures, truth, {"teacher": truth, "projected": ["fish/ray"] * 3})

    assert found["task"] == "fish"
    assert [card["title"] for card in found["cards"]] == ["shark", "ray", "a long name"]
    assert [[(a["model"], a["says"], a["right"]) for a in card["answers"]] for card in found["cards"]] == [
        [("teacher", "shark", True), ("projected", "ray", False)],
        [("teacher", "ray", True), ("projected", "ray", True)],
        [("teacher", "a long name", True), ("projected", "ray", False)],
    ]
    for card, picture in zip(found["cards"], pictures, strict=True):
        shown = pixels(card)[::8, ::8]
        assert (shown.reshape(picture.shape) == picture).all()


def test_classes_of_one_name_in_two_groups_are_told_apart() -> None:
    (card,) = answered("rays", images(1), ["fish/ray"], {"teacher": ["light/ray"]})["cards"]
    assert card["answers"] == [{"model": "teacher", "says": "ray", "right": False}]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_pixels_of_every_drawn_picture_are_in_its_mosaic(channels: int) -> None:
    pictures = images(5, channels)
    shown = pixels(drawn("task", {"test": pictures})["cards"][0])

    for position, picture in enumerate(pictures):
        top, left = (RULE + at * (TILE + RULE) for at in divmod(position, 3))
        tile = shown[top : top + TILE, left : left + TILE]
        assert (tile[..., 3] == 255).all()
        for offset in (0, TILE // 8 - 1):  # both ends of every enlarged pixel
            assert (tile[offset::8, offset::8, :3] == picture).all()
    assert (shown[:RULE] == GREY).all()
    assert (shown[-TILE:, -TILE:, 3] == 0).all()  # there is room for nine pictures, and there are five


def test_large_pictures_are_not_enlarged_and_sides_may_differ() -> None:
    pictures = images(1, channels=3, height=70, width=90)
    shown = mosaic(pictures, side=1)
    assert shown.shape == (70 + 2 * RULE, 90 + 2 * RULE, 4)
    assert (shown[RULE:-RULE, RULE:-RULE, :3] == pictures[0]).all()


def test_mosaics_of_a_task_are_of_one_size_and_one_without_pictures_has_none() -> None:
    cells = {"test images": images(16), "teacher": images(5), "projected": images(0)}
    cards = drawn("task", cells)["cards"]
    assert [card["title"] for card in cards] == list(cells)
    assert pixels(cards[0]).shape == pixels(cards[1]).shape
    assert cards[2]["picture"] is None
    assert [card["picture"] for card in drawn("none", {"a": images(0)})["cards"]] == [None]
