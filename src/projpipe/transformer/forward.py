"""The forward pass of many students at once, each with weights of its own.

Linear maps are batched matrix products over tasks; attention folds the tasks into the batch. A test holds this to
the output of the exported timm model.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.transformer.canonical import Weights
from projpipe.transformer.decoder import previous
from projpipe.transformer.spec import TransformerSpec

ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


def forward_students(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """Run `T` students, each on its own images.

    Args:
        spec: the shape of the students.
        weights: canonical weights with a leading axis of length `T`, or 1 where all tasks share them. `prefix` may
            hold more tokens than the spec names. Block weights are `[T, L, out, in]`, `head.weight` is `[T, K, d]`.
        images: `[T, B, C, H, W]`, normalised; symbols `[T, B, 1, H, W]` of a decoder.

    Returns:
        Logits `[T, B, K]`; `[T, B, N, V]` of a decoder.
    """
    tasks, batch = images.shape[:2]
    logits = linear(features(spec, weights, images), weights, "head")
    return logits.view(tasks, batch, -1, spec.symbols) if spec.symbols else logits


def features(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """What the head of `T` students reads of images as of `forward_students`: what `read_out` returns."""
    tasks, batch = images.shape[:2]
    x = embed(spec, weights, images)
    for layer in range(spec.depth):
        block = block_weights(weights, layer)
        y = normalise(spec, x)
        queries, keys, values = (linear(y, block, name) for name in "qkv")
        x = x + linear(attend(spec, queries, keys, values, tasks * batch), block, "out")
        hidden = ACTIVATE[spec.activation](linear(normalise(spec, x), block, "fc1"))
        x = x + linear(hidden, block, "fc2")

    return read_out(spec, x, batch, weights["prefix"].shape[1])


def embed(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """What enters the first block: tokens `[T, B*(P+N), d]` of images `[T, B, ...]`, those of `prefix` first."""
    tasks, batch = images.shape[:2]
    tokens = (_embed_symbols if spec.symbols else _embed_patches)(spec, weights, images)
    tokens = tokens.view(tasks, batch, spec.num_patches, -1) + weights["pos"][:, None]
    prefix = weights["prefix"][:, None].expand(tasks, batch, -1, -1)
    x = torch.cat([prefix, tokens], dim=2).flatten(1, 2)
    if spec.pre_norm:
        x = normalise(spec, x) * weights["pre.weight"][:, None] + weights["pre.bias"][:, None]
    return x


def block_weights(weights: Weights, layer: int) -> Weights:
    """Those of one block, without the axis of blocks."""
    return {name: weights[name][:, layer] for name in _BLOCK}


def attend(spec: TransformerSpec, queries: Tensor, keys: Tensor, values: Tensor, batch: int) -> Tensor:
    """Attention within each of `batch` images, the heads side by side: `[T, M, H*e]` each, and so is the result."""
    q, k, v = (x.view(batch, -1, spec.num_heads, spec.head_dim).transpose(1, 2) for x in (queries, keys, values))
    attended = F.scaled_dot_product_attention(q, k, v, is_causal=bool(spec.symbols))  # [T*B, H, P+N, e]
    return attended.transpose(1, 2).reshape(len(queries), -1, spec.attn_dim)


def read_out(spec: TransformerSpec, x: Tensor, batch: int, prefix: int) -> Tensor:
    """What the head reads of the tokens `[T, B*(P+N), d]` that leave the last block, normalised.

    Returns:
        `[T, B, d]` pooled; of a decoder every token but those of `prefix`, `[T, B*N, d]`.
    """
    x = x.view(len(x), batch, -1, spec.embed_dim)
    return normalise(spec, x[:, :, prefix:]).flatten(1, 2) if spec.symbols else _pool(spec, x, prefix)


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    """The named linear map of `[T, M, in]` by `[T or 1, out, in]`, giving `[T, M, out]`."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if weight.shape[0] == 1:
        return F.linear(x, weight[0], bias[0])
    return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))


def normalise(spec: TransformerSpec, x: Tensor) -> Tensor:
    """LayerNorm, whose gain and bias are in the linear map behind it."""
    return F.layer_norm(x, x.shape[-1:], eps=spec.norm_eps)


_BLOCK = [f"{name}.{part}" for name in ("q", "k", "v", "out", "fc1", "fc2") for part in ("weight", "bias")]


def _embed_patches(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """Images `[T, B, C, H, W]` to tokens `[T, B*N, d]`."""
    tasks, batch = images.shape[:2]
    patches = F.unfold(images.flatten(0, 1), spec.patch_size, stride=spec.patch_size)  # [T*B, C*p*p, N]
    patches = patches.transpose(1, 2).reshape(tasks, batch * spec.num_patches, -1)
    return linear(patches, weights, "patch")


def _embed_symbols(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """Symbols `[T, B, 1, H, W]` to the tokens `[T, B*N, d]` that predict them."""
    tasks = len(images)
    before = previous(images.flatten(2), spec.symbols).flatten(1)  # [T, B*N]
    tables = weights["patch.weight"].mT  # [T or 1, V+1, d]
    if len(tables) == 1:
        tokens = F.embedding(before, tables[0])
    else:
        first = torch.arange(tasks, device=images.device)[:, None] * tables.shape[1]
        tokens = F.embedding(before + first, tables.flatten(0, 1))
    return tokens + weights["patch.bias"][:, None]


def _pool(spec: TransformerSpec, x: Tensor, num_prefix_tokens: int) -> Tensor:
    """`[T, B, N, d]` to the normalised pooled token `[T, B, d]`."""
    if spec.pool == "token":
        return normalise(spec, x[:, :, 0])
    patches = x[:, :, num_prefix_tokens:]
    return normalise(spec, patches.mean(2)) if spec.norm_after_pool else normalise(spec, patches).mean(2)
