"""Affine maps do what their figures say, on images of any shape."""

import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as reference
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from projpipe.config import Augmentation
from projpipe.images.augmentation import affine_matrices, recolour, sample_affine, warp

MILD = Augmentation(copies=2, rotation=15.0, translation=0.1, scale=0.2, shear=10.0)


def smooth(height: int, width: int) -> Tensor:
    """An image [1, 2, height, width] without sharp edges."""
    coarse = torch.rand(1, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=(height, width), mode="bicubic")


def matrix(
    rotation: float = 0.0,
    shear: float = 0.0,
    scale: float = 1.0,
    right: float = 0.0,
    down: float = 0.0,
    aspect: float = 1.0,
) -> Tensor:
    return affine_matrices(
        torch.tensor([rotation]), torch.tensor([shear]), torch.tensor([scale]), torch.tensor([[right, down]]), aspect
    )


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_the_identity_leaves_the_image(height: int, width: int) -> None:
    image = torch.rand(2, 1, height, width)
    identity = torch.eye(2, 3).expand(2, 2, 3)
    torch.testing.assert_close(matrix(aspect=width / height), identity[:1])
    assert (warp(image, identity) - image).abs().max() <= 1e-5


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotation_is_counter_clockwise_about_the_centre(quarters: int) -> None:
    image = smooth(8, 8)
    turned = warp(image, matrix(rotation=90.0 * quarters))
    torch.testing.assert_close(turned, torch.rot90(image, quarters, dims=(2, 3)), atol=1e-5, rtol=0)


def test_translation_is_in_shares_of_width_and_height() -> None:
    image = smooth(10, 20)
    moved = warp(image, matrix(right=3 / 20, down=2 / 10, aspect=2.0))
    torch.testing.assert_close(moved[..., 2:, 3:], image[..., :-2, :-3], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., 0, 3:], image[..., 0, :-3], atol=1e-5, rtol=0)  # the border goes on


@pytest.mark.parametrize("size", [(32, 32), (40, 64), (64, 40)])
@pytest.mark.parametrize(
    ("rotation", "shear", "scale", "right", "down"),
    [(20, 0, 1, 0, 0), (0, 15, 1, 0, 0), (0, 0, 0.8, 0, 0), (20, 15, 1.2, 4, -6), (-33, -10, 0.8, 3, 2)],
)
def test_all_parts_together_agree_with_torchvision(
    size: tuple[int, int], rotation: float, shear: float, scale: float, right: int, down: int
) -> None:
    image, (height, width) = smooth(*size), size

    def expected(picture: Tensor) -> Tensor:  # which turns clockwise, and is black beyond the border
        bilinear = reference.InterpolationMode.BILINEAR
        return reference.affine(picture, -rotation, [right, down], scale, [shear, 0.0], interpolation=bilinear)

    affine = matrix(rotation, shear, scale, right / width, down / height, aspect=width / height)
    inside = expected(torch.ones_like(image)) > 0.999
    assert inside.float().mean() > 0.4
    torch.testing.assert_close(warp(image, affine)[inside], expected(image)[inside], atol=1e-4, rtol=0)


def test_every_part_keeps_to_its_range_and_fills_it() -> None:
    def draw(**ranges: float) -> Tensor:
        parts = {"rotation": 0.0, "translation": 0.0, "scale": 0.0, "shear": 0.0, **ranges}
        return sample_affine(Augmentation(copies=1, **parts), 2000, torch.Generator().manual_seed(0))

    turned = draw(rotation=30.0)
    angles = torch.atan2(turned[:, 1, 0], turned[:, 0, 0]).rad2deg()
    sizes = 1 / draw(scale=0.25)[:, 0, 0]
    moves = -draw(translation=0.1)[:, :, 2] / 2
    leans = draw(shear=20.0)[:, 0, 1].atan().rad2deg()
    for values, low, high in ((angles, -30, 30), (sizes, 0.75, 1.25), (moves, -0.1, 0.1), (leans, -20, 20)):
        slack = 0.02 * (high - low)
        assert low - 1e-4 <= values.min() < low + slack
        assert high - slack < values.max() <= high + 1e-4


def test_the_generator_alone_decides_the_draw() -> None:
    def draw(seed: int) -> Tensor:
        return sample_affine(MILD, 5, torch.Generator().manual_seed(seed))

    before = torch.random.get_rng_state()
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert draw(0).dtype == torch.float32
    assert draw(0).shape == (5, 2, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_image_is_seen_through_its_own_map() -> None:
    images, affine = torch.rand(4, 3, 9, 9), sample_affine(MILD, 4, torch.Generator().manual_seed(0))
    one_by_one = torch.cat([warp(images[i : i + 1], affine[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(warp(images, affine), one_by_one)


def test_half_of_the_images_are_flipped_where_that_is_asked_for() -> None:
    still = Augmentation(copies=1, rotation=0.0, translation=0.0, scale=0.0, shear=0.0, flip=True)
    image = smooth(6, 8)
    maps = sample_affine(still, 400, torch.Generator().manual_seed(0), aspect=8 / 6)
    flipped = maps[:, 0, 0] < 0
    assert 150 < flipped.sum() < 250
    torch.testing.assert_close(warp(image, maps[flipped][:1]), image.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(warp(image, maps[~flipped][:1]), image, atol=1e-5, rtol=0)


def test_a_flip_leaves_what_else_is_drawn() -> None:
    flipping = MILD.model_copy(update={"flip": True})
    plain, maps = (sample_affine(given, 50, torch.Generator().manual_seed(3)) for given in (MILD, flipping))
    torch.testing.assert_close(maps[:, 1], plain[:, 1])
    torch.testing.assert_close(maps[:, 0].abs(), plain[:, 0].abs())


def test_colours_change_image_by_image_within_the_amount() -> None:
    images = torch.randn(200, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    seen = recolour(images, 0.4, torch.Generator().manual_seed(1))
    brightness = (seen - images).mean((1, 2, 3))
    assert 0.35 < brightness.abs().max() <= 0.4
    grey, grey_before = seen.mean(1), images.mean(1)
    contrast = grey.std((1, 2)) / grey_before.std((1, 2))
    assert 0.6 <= contrast.min() < 0.65
    assert 1.35 < contrast.max() <= 1.4
    saturation = (seen - grey[:, None]).flatten(1).norm(dim=1) / (images - grey_before[:, None]).flatten(1).norm(dim=1)
    assert 0.6 <= saturation.min() < 0.65
    assert 1.35 < saturation.max() <= 1.4
    assert torch.equal(recolour(images, 0.0, torch.Generator().manual_seed(1)), images)
