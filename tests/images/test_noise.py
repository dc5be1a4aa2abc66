"""Images of nothing."""

import numpy as np
import pytest

from projpipe.images.noise import noise_images


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 12, 3), (32, 32, 3)])
def test_there_are_as_many_of_each_kind_and_the_seed_alone_decides(shape: tuple[int, int, int]) -> None:
    images = noise_images(50, shape, seed=3)
    assert (images.shape, images.dtype) == ((50, *shape), np.uint8)
    assert np.array_equal(images, noise_images(50, shape, seed=3))
    assert not np.array_equal(images, noise_images(50, shape, seed=4))
    dots, one_colour, haze = images[0::5], images[2::5], images[4::5]
    assert all(len(np.unique(image.reshape(-1, shape[-1]), axis=0)) == 1 for image in one_colour)
    assert len(np.unique(one_colour.reshape(10, -1), axis=0)) > 5
    assert haze.std() < dots.std()


def test_blocks_are_of_one_colour() -> None:
    blocks = noise_images(5, (32, 32, 3), seed=0)[3]
    assert np.array_equal(blocks, blocks[::4, ::4].repeat(4, 0).repeat(4, 1))
