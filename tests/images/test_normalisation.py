from pathlib import Path

import numpy as np
import pytest
import torch

from projpipe.images import normalisation
from projpipe.images.normalisation import channel_statistics, normalise

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 5, 3), np.uint8)


def test_statistics_are_those_of_the_given_rows_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalisation, "CHUNK", 3)
    rows = np.array([0, 2, 3, 5, 6, 7, 9])
    mean, std = channel_statistics(IMAGES, rows)
    assert mean == pytest.approx((IMAGES[rows] / 255).mean((0, 1, 2)), abs=1e-6)
    assert std == pytest.approx((IMAGES[rows] / 255).std((0, 1, 2)), abs=1e-6)


def test_normalised_images_have_mean_0_and_deviation_1_in_every_channel() -> None:
    images = normalise(IMAGES, *channel_statistics(IMAGES, np.arange(10)))
    assert images.shape == (10, 3, 4, 5)
    assert images.dtype == torch.float32
    assert images.mean((0, 2, 3)).abs().max() < 1e-4
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-4
    assert torch.equal(images[1, 2].argmax(), torch.tensor(IMAGES[1, :, :, 2].argmax()))


def test_arrays_tensors_and_read_only_memory_maps_give_the_same(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r", allow_pickle=False)
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    expected = normalise(torch.tensor(IMAGES), mean, std)
    for images in (IMAGES, mapped, mapped[np.arange(10)]):
        assert torch.equal(normalise(images, mean, std), expected)
    assert len(recwarn) == 0


def test_a_channel_that_is_the_same_everywhere_does_not_divide_by_zero() -> None:
    blank = np.full((3, 2, 2, 1), 7, np.uint8)
    mean, std = channel_statistics(blank, np.arange(3))
    assert normalise(blank, mean, std).abs().max() < 1e-3


@pytest.mark.parametrize(
    "images", [IMAGES.astype(np.float32), IMAGES[..., :1], IMAGES[0]], ids=["dtype", "channels", "one"]
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"are not uint8 \[B, H, W, 3\]"):
        normalise(images, [0.5] * 3, [0.2] * 3)
