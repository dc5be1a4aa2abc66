"""Drawing images from a decoder, symbol after symbol, with what was computed for earlier symbols kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.errors import InputError
from projpipe.transformer.canonical import Weights
from projpipe.transformer.forward import ACTIVATE
from projpipe.transformer.spec import TransformerSpec


@torch.inference_mode()
def sample(
    spec: TransformerSpec,
    weights: Weights,
    count: int,
    seed: int,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Tensor:
    """Draw images from a decoder.

    Args:
        spec: its shape.
        weights: its canonical weights, without an axis of tasks.
        seed: fixes the draw.
        temperature: divides the logits; below 1 likely symbols become likelier.
        top_k: only so many of the likeliest symbols are drawn from; None for all.

    Returns:
        Symbols int64 `[count, 1, H, W]`.

    Raises:
        InputError: the temperature is not above 0, or `top_k` not in 1..V.
    """
    if temperature <= 0:
        raise InputError(f"temperature: {temperature:g} is not above 0; raise it")
    if top_k is not None and not 1 <= top_k <= spec.symbols:
        raise InputError(f"top_k: {top_k} is not in 1..{spec.symbols}; change it")
    length = spec.num_patches
    drawn = torch.rand(count, length, generator=torch.Generator().manual_seed(seed)).to(weights["pos"].device)
    decoder = CachedDecoder(spec, weights, count)
    symbols = torch.full((count, length + 1), spec.symbols, device=drawn.device)  # the first is the start symbol
    for place in range(length):
        logits = decoder.step(symbols[:, place], place) / temperature
        if top_k is not None:
            logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
        shares = logits.softmax(-1).cumsum(-1)
        found = torch.searchsorted(shares, drawn[:, place, None] * shares[:, -1:], right=True)
        symbols[:, place + 1] = found.squeeze(1).clamp(max=spec.symbols - 1)
    return symbols[:, 1:].view(count, 1, *spec.image_size)


class CachedDecoder:
    """A decoder that reads one symbol at a time and keeps keys and values of those before.

    Args:
        spec: its shape.
        weights: its canonical weights, without an axis of tasks.
        count: how many images are read side by side, `B`.
    """

    def __init__(self, spec: TransformerSpec, weights: Weights, count: int) -> None:
        self.spec, self.head = spec, (weights["head.weight"], weights["head.bias"])
        self.table = weights["patch.weight"].mT + weights["patch.bias"]
        self.pos = weights["pos"].unbind()
        # Taken apart once: on so few tokens, indexing takes as long as multiplying.
        joined = {part: torch.cat([weights[f"{n}.{part}"] for n in "qkv"], dim=1) for part in ("weight", "bias")}
        linear = {"qkv": (joined["weight"], joined["bias"])}
        linear |= {n: (weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in ("out", "fc1", "fc2")}
        self.blocks = [{n: (w[layer], b[layer]) for n, (w, b) in linear.items()} for layer in range(spec.depth)]
        prefix = weights["prefix"]
        self.filled, length = 0, len(prefix) + spec.num_patches
        shape = (count, spec.num_heads, length, spec.head_dim)
        self.keys = [prefix.new_empty(shape) for _ in range(spec.depth)]
        self.values = [prefix.new_empty(shape) for _ in range(spec.depth)]
        if len(prefix):
            self._read(prefix.expand(count, -1, -1))

    def step(self, symbols: Tensor, place: int) -> Tensor:
        """Read the symbols `[B]` before a place; logits `[B, V]` of those at it."""
        tokens = F.embedding(symbols, self.table) + self.pos[place]
        read = F.layer_norm(self._read(tokens[:, None])[:, 0], (self.spec.embed_dim,), eps=self.spec.norm_eps)
        return F.linear(read, *self.head)

    def _read(self, x: Tensor) -> Tensor:
        """The blocks, on new tokens `[B, N, d]` after those that were read."""
        spec = self.spec
        count, new, width = x.shape
        until = self.filled + new
        activate = ACTIVATE[spec.activation]
        for block, all_keys, all_values in zip(self.blocks, self.keys, self.values, strict=True):
            qkv = F.linear(F.layer_norm(x, (width,), eps=spec.norm_eps), *block["qkv"])
            q, k, v = qkv.view(count, new, 3, spec.num_heads, spec.head_dim).permute(2, 0, 3, 1, 4).unbind()
            all_keys[:, :, self.filled : until] = k
            all_values[:, :, self.filled : until] = v
            keys, values = all_keys[:, :, :until], all_values[:, :, :until]
            attended = F.scaled_dot_product_attention(q, keys, values, is_causal=new > 1)
            x = x + F.linear(attended.transpose(1, 2).reshape(count, new, -1), *block["out"])
            hidden = activate(F.linear(F.layer_norm(x, (width,), eps=spec.norm_eps), *block["fc1"]))
            x = x + F.linear(hidden, *block["fc2"])
        self.filled = until
        return x
