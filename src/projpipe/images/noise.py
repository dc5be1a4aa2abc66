"""Images of nothing: what a model of some classes ought to take for none of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

COARSE = 8  # blocks along a side of a coarse image


def noise_images(count: int, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Images uint8 `[count, H, W, C]` without content, of each kind as many: dots, grain, one colour, blocks, haze.

    Args:
        shape: `(H, W, C)`.
        seed: fixes the draw.
    """
    rng = np.random.default_rng(seed)
    return np.stack([_KINDS[i % len(_KINDS)](rng, shape) for i in range(count)])


def _dots(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def _grain(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Around a colour, with some deviation."""
    drawn = rng.normal(rng.uniform(0, 255, shape[-1]), rng.uniform(5, 80), shape)
    return drawn.clip(0, 255).astype(np.uint8)


def _one_colour(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Black, white, or any other."""
    colour = rng.choice([0, 255]) if rng.random() < 0.25 else rng.integers(0, 256, shape[-1])
    return np.broadcast_to(np.asarray(colour, dtype=np.uint8), shape)


def _blocks(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = shape
    rows, columns = (np.arange(side) * min(COARSE, side) // side for side in (height, width))
    return rng.integers(0, 256, (COARSE, COARSE, channels), dtype=np.uint8)[rows][:, columns]


def _haze(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Dots of weak contrast, as noise of a large picture is after it was made small."""
    weak = 127 + rng.uniform(0.05, 0.5) * (rng.integers(0, 256, shape) - 127.0)
    return weak.astype(np.uint8)


_KINDS: tuple[Callable[[np.random.Generator, tuple[int, int, int]], np.ndarray], ...] = (
    _dots,
    _grain,
    _one_colour,
    _blocks,
    _haze,
)
