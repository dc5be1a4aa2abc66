"""Drawing images from a decoder, symbol after symbol, with what was computed for earlier symbols kept."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.errors import InputError
from projpipe.transformer.canonical import Weights
from projpipe.transformer.forward import ACTIVATE
from projpipe.transformer.spec import TransformerSpec

LOWEST = 1e-30  # temperature by which logits can be divided


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
        InputError: the temperature is not a number above 1e-30, or `top_k` not in 1..V.
        FloatingPointError: the weights are so large that a logit is infinite or no number.
    """
    if not LOWEST < temperature < math.inf:
        raise InputError(f"temperature: {temperature:g} is not a number above {LOWEST:g}; change it")
    if top_k is not None and not 1 <= top_k <= spec.symbols:
        raise InputError(f"top_k: {top_k} is not in 1..{spec.symbols}; change it")
    generator = torch.Generator().manual_seed(seed)
    decoder = CachedDecoder(spec, weights, count)
    symbols = torch.full((count, spec.num_patches + 1), spec.symbols, device=weights["pos"].device)  # the start symbol
    for position in range(spec.num_patches):
        logits = decoder.step(symbols[:, position], position)
        if not logits.isfinite().all():
            raise FloatingPointError("a logit is infinite or no number")
        if top_k is not None:
            logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
        # Where logits with Gumbel noise are largest is a draw from their softmax.
        noise = torch.empty(logits.shape).exponential_(generator=generator).log_()
        symbols[:, position + 1] = (logits / temperature - noise.to(logits.device)).argmax(-1)
    return symbols[:, 1:].view(count, 1, *spec.image_size)


class CachedDecoder:
    """A decoder that reads one symbol at a time and keeps keys and values of those before.

    Args:
        spec: its shape.
        weights: its canonical weights, without an axis of tasks.
        count: how many images are read side by side, `B`.
    """

    def __init__(self, spec: TransformerSpec, weights: Weights, count: int) -> None:
        self.spec, self.width = spec, (spec.embed_dim,)
        self.head = (weights["head.weight"], weights["head.bias"])
        self.table = weights["patch.weight"].mT + weights["patch.bias"]
        self.pos = weights["pos"].unbind()
        # Taken apart once: on so few tokens, indexing takes as long as multiplying.
        joined = {part: torch.cat([weights[f"{n}.{part}"] for n in "qkv"], dim=1) for part in ("weight", "bias")}
        linear = {"qkv": (joined["weight"], joined["bias"])}
        linear |= {n: (weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in ("out", "fc1", "fc2")}
        self.blocks = [{n: (w[layer], b[layer]) for n, (w, b) in linear.items()} for layer in range(spec.depth)]
        self.before = {p: weights[f"pre.{p}"] for p in ("weight", "bias")} if spec.pre_norm else None
        prefix = weights["prefix"]
        self.filled = 0
        shape = (2, count, spec.num_heads, len(prefix) + spec.num_patches, spec.head_dim)
        self.caches = [prefix.new_empty(shape) for _ in range(spec.depth)]  # keys and values
        for token in prefix:
            self._read(token.expand(count, -1))

    def step(self, symbols: Tensor, position: int) -> Tensor:
        """Read the symbols `[B]` before a position; logits `[B, V]` of those at it."""
        read = self._read(F.embedding(symbols, self.table) + self.pos[position])
        return F.linear(F.layer_norm(read, self.width, eps=self.spec.norm_eps), *self.head)

    def _read(self, x: Tensor) -> Tensor:
        """The blocks, on one more token `[B, d]` of every image."""
        spec, activate = self.spec, ACTIVATE[self.spec.activation]
        if self.before:
            x = F.layer_norm(x, self.width, **self.before, eps=spec.norm_eps)
        for block, cache in zip(self.blocks, self.caches, strict=True):
            qkv = F.linear(F.layer_norm(x, self.width, eps=spec.norm_eps), *block["qkv"])
            qkv = qkv.view(-1, 3, spec.num_heads, spec.head_dim).transpose(0, 1)
            cache[:, :, :, self.filled] = qkv[1:]
            keys, values = cache[:, :, :, : self.filled + 1].unbind()
            attended = F.scaled_dot_product_attention(qkv[0].unsqueeze(2), keys, values)
            x = x + F.linear(attended.flatten(1), *block["out"])
            hidden = activate(F.linear(F.layer_norm(x, self.width, eps=spec.norm_eps), *block["fc1"]))
            x = x + F.linear(hidden, *block["fc2"])
        self.filled += 1
        return x
