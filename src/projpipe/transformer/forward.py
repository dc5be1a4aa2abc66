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
    embed = _embed_symbols if spec.symbols else _embed_patches
    tokens = embed(spec, weights, images)
    tokens = tokens.view(tasks, batch, spec.num_patches, -1) + weights["pos"][:, None]
    prefix = weights["prefix"][:, None].expand(tasks, batch, -1, -1)
    x = torch.cat([prefix, tokens], dim=2).flatten(1, 2)  # [T, B*(P+N), d]
    if spec.pre_norm:
        x = _normalise(spec, x) * weights["pre.weight"][:, None] + weights["pre.bias"][:, None]

    activate = ACTIVATE[spec.activation]
    for layer in range(spec.depth):
        block = {name: weights[name][:, layer] for name in _BLOCK}
        y = _normalise(spec, x)
        q, k, v = (_heads(_linear(y, block[f"{n}.weight"], block[f"{n}.bias"]), tasks * batch, spec) for n in "qkv")
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=bool(spec.symbols))  # [T*B, H, P+N, e]
        attended = attended.transpose(1, 2).reshape(tasks, -1, spec.attn_dim)
        x = x + _linear(attended, block["out.weight"], block["out.bias"])
        hidden = activate(_linear(_normalise(spec, x), block["fc1.weight"], block["fc1.bias"]))
        x = x + _linear(hidden, block["fc2.weight"], block["fc2.bias"])

    x = x.view(tasks, batch, -1, spec.embed_dim)
    if spec.symbols:
        read = _normalise(spec, x[:, :, weights["prefix"].shape[1] :]).flatten(1, 2)
        return _linear(read, weights["head.weight"], weights["head.bias"]).view(tasks, batch, -1, spec.symbols)
    pooled = _pool(spec, x, weights["prefix"].shape[1])
    return _linear(pooled, weights["head.weight"], weights["head.bias"])


_BLOCK = [f"{name}.{part}" for name in ("q", "k", "v", "out", "fc1", "fc2") for part in ("weight", "bias")]


def _embed_patches(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """Images `[T, B, C, H, W]` to tokens `[T, B*N, d]`."""
    tasks, batch = images.shape[:2]
    patches = F.unfold(images.flatten(0, 1), spec.patch_size, stride=spec.patch_size)  # [T*B, C*p*p, N]
    patches = patches.transpose(1, 2).reshape(tasks, batch * spec.num_patches, -1)
    return _linear(patches, weights["patch.weight"], weights["patch.bias"])


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


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`[T, M, in]` by `[T or 1, out, in]`, giving `[T, M, out]`."""
    if weight.shape[0] == 1:
        return F.linear(x, weight[0], bias[0])
    return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))


def _normalise(spec: TransformerSpec, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=spec.norm_eps)


def _heads(x: Tensor, batch: int, spec: TransformerSpec) -> Tensor:
    """`[T, B*N, H*e]` to `[T*B, H, N, e]`."""
    return x.view(batch, -1, spec.num_heads, spec.head_dim).transpose(1, 2)


def _pool(spec: TransformerSpec, x: Tensor, num_prefix_tokens: int) -> Tensor:
    """`[T, B, N, d]` to the normalised pooled token `[T, B, d]`."""
    if spec.pool == "token":
        return _normalise(spec, x[:, :, 0])
    patches = x[:, :, num_prefix_tokens:]
    return _normalise(spec, patches.mean(2)) if spec.norm_after_pool else _normalise(spec, patches).mean(2)
