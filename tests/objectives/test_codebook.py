import numpy as np
import pytest
import torch

from projpipe.config import ImageModelingConfig
from projpipe.errors import InputError
from projpipe.objectives.codebook import fit_tokens
from projpipe.objectives.tokens import Tokens


def asked(**tokens: object) -> ImageModelingConfig:
    return ImageModelingConfig.model_validate({"name": "image_modeling", "tokens": tokens, "unconditional": 0.1})


def fitted(images: np.ndarray, rows: np.ndarray | None = None, **tokens: object) -> Tokens:
    return fit_tokens(asked(**tokens), images, np.arange(len(images)) if rows is None else rows, seed=0)


def random_images(count: int, size: int, levels: int, channels: int = 1) -> np.ndarray:
    drawn = np.random.default_rng(0).integers(levels, size=(count, size, size, channels))
    return np.rint(drawn * 255 / (levels - 1)).astype(np.uint8)


def read(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("levels", [2, 5, 17, 256])
def test_pixels_of_as_many_levels_come_back_as_they_were(levels: int) -> None:
    images = random_images(6, 4, levels)
    tokens = fitted(images, kind="pixels", levels=levels)
    assert tokens.symbols == levels
    assert tokens.lossless
    assert torch.allclose(tokens.decode(tokens.encode(read(images))), read(images), atol=0.5 / 255)


def test_images_are_brought_to_a_size_by_averaging() -> None:
    images = np.array([[0, 255, 0, 0], [0, 255, 0, 0], [255, 255, 0, 255], [255, 255, 0, 255]], np.uint8)
    tokens = fitted(images[None, ..., None], kind="pixels", levels=3, image_size=2)
    assert tokens.encode(read(images[None, ..., None])).flatten().tolist() == [1, 0, 2, 1]


def test_a_codebook_of_every_patch_there_can_be_loses_nothing() -> None:
    images = random_images(20, 4, 2)
    tokens = fitted(images, kind="patches", levels=2, patch_size=2, codebook=16)
    symbols = tokens.encode(read(images))
    assert tokens.lossless
    assert tokens.units == 16
    assert symbols.shape == (20, 1, 2, 2)
    assert torch.equal(tokens.decode(symbols), read(images))


def test_a_smaller_codebook_keeps_the_patches_that_matter_and_says_that_it_loses_some() -> None:
    patches = np.array([[[0, 0], [0, 0]], [[255, 255], [255, 255]]], np.uint8)
    images = patches[np.random.default_rng(0).integers(2, size=50)][..., None]
    images[0, 0, 0] = 255  # one odd patch, for which the codebook has no entry
    tokens = fitted(images, kind="patches", levels=2, patch_size=2, codebook=2)
    assert not tokens.lossless
    assert tokens.units == 1
    assert sorted(round(sum(row)) for row in tokens.codebook or ()) == [0, 4]
    assert tokens == fitted(images, kind="patches", levels=2, patch_size=2, codebook=2)


def test_a_codebook_looks_at_the_rows_it_is_given_alone() -> None:
    images, settings = random_images(20, 4, 4), {"kind": "patches", "levels": 4, "patch_size": 2, "codebook": 6}
    others = images.copy()
    others[15:] = 0
    assert fitted(images, np.arange(15), **settings) == fitted(others, np.arange(15), **settings)
    assert fitted(images, **settings) != fitted(others, **settings)


@pytest.mark.parametrize(
    ("tokens", "channels", "message"),
    [
        ({"kind": "patches", "levels": 2, "patch_size": 3, "codebook": 4}, 1, "4x4 do not divide into patches of 3x3"),
        ({"kind": "patches", "levels": 2, "patch_size": 2, "codebook": 200}, 1, "200 is larger than the number of"),
        ({"kind": "pixels", "levels": 4}, 3, "grey images, these have 3 channels"),
    ],
)
def test_tokens_that_do_not_fit_the_images_are_refused(tokens: dict[str, object], channels: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(random_images(20, 4, 2, channels), **tokens)


@pytest.mark.parametrize("levels", [1, 257])
def test_levels_out_of_range_are_refused(levels: int) -> None:
    with pytest.raises(ValueError, match="levels"):
        asked(kind="pixels", levels=levels)
