"""From stored bytes to what a model reads, and the statistics this takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from projpipe.images.streamed import Images

CHUNK, CHUNK_BYTES = 4096, 2**25  # images, and their bytes, that are looked at together


def normalise(images: np.ndarray | Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images uint8 [B, H, W, C] as float32 [B, C, H, W]: brought to 0..1, less `mean`, over `std` (C values each).

    Raises ValueError if `images` are not uint8 or have another number of channels.
    """
    if isinstance(images, np.ndarray):
        # A read-only memory map would make torch warn: it cannot hold tensors to that.
        images = torch.from_numpy(np.require(images, requirements="W"))
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != len(mean):
        raise ValueError(f"images {images.dtype} {list(images.shape)} are not uint8 [B, H, W, {len(mean)}]")
    channels = (images.float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    return channels.permute(0, 3, 1, 2).contiguous()


def rows_at_once(images: Images) -> int:
    """How many of these images to read together when all are read."""
    return max(1, min(CHUNK, CHUNK_BYTES // int(np.prod(images.shape[1:]))))


def channel_statistics(images: Images, rows: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation, in 0..1, of each channel of `images[rows]`, uint8 [N, H, W, C].

    Read in chunks, so that they need not fit into memory; sums are of integers and thus exact. A channel that
    is the same everywhere gets the deviation of one grey level, to divide by.
    """
    total = np.zeros(images.shape[-1], np.int64)
    squares = np.zeros_like(total)
    step = rows_at_once(images)
    for start in range(0, len(rows), step):
        chunk = images[rows[start : start + step]].astype(np.int64)
        total += chunk.sum((0, 1, 2))
        squares += np.square(chunk).sum((0, 1, 2))
    count = len(rows) * images.shape[1] * images.shape[2]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))
    return (mean / 255).round(6).tolist(), (std / 255).round(6).tolist()
