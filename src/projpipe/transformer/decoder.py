"""A stock timm VisionTransformer as an autoregressive model of symbols on a grid.

With patches of one pixel, a channel for each symbol, one for the start, and causal attention, a ViT is a decoder: at
every position it reads the symbol before it and says which one comes next. Classes that it is told are further
channels, of ones everywhere.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def decoder_images(symbols: Tensor, num_symbols: int, num_classes: int, told: Tensor) -> Tensor:
    """What the ViT reads.

    Args:
        symbols: int64 `[N, 1, h, w]`.
        num_symbols: how many there are, `V`.
        num_classes: how many classes the model can be told, `K`.
        told: class ids `[N]`; -1 for none.

    Returns:
        float `[N, V + 1 + K, h, w]`: at every position the symbol before it, at the first the start symbol.
    """
    count, _, height, width = symbols.shape
    before = previous(symbols.flatten(1), num_symbols).view(count, height, width)
    images = F.one_hot(before, num_symbols + 1).permute(0, 3, 1, 2).float()
    if not num_classes:
        return images
    classes = F.one_hot(told + 1, num_classes + 1)[:, 1:, None, None]
    return torch.cat([images, classes.expand(-1, -1, height, width).float()], dim=1)


def previous(symbols: Tensor, num_symbols: int) -> Tensor:
    """Symbols `[..., N]` as the inputs that predict them: each is the one before; the first is the start symbol."""
    start = symbols.new_full((*symbols.shape[:-1], 1), num_symbols)
    return torch.cat([start, symbols[..., :-1]], dim=-1)


def run_decoder(model: Any, images: Tensor) -> Tensor:
    """Logits `[N, h*w, V]` of a timm ViT on what `decoder_images` made; those of registers are left out."""
    return model(images, is_causal=True)[:, model.num_prefix_tokens :]
