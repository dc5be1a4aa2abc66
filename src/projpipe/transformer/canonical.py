"""Canonical weights: a Vision Transformer as matrices and biases around plain normalisations.

Every LayerNorm's gain and bias is folded into the linear maps that read it, every LayerScale into the one that
writes it, and the positions of prefix tokens into these tokens. The folding is exact.

Names and shapes, for `L` blocks of width `d` with `H` heads of size `e`, `m` hidden units, `P` prefix tokens,
`N` patches of `p x p x C` and `K` classes:

    patch.weight [d, C*p*p]   patch.bias [d]     prefix [P, d]        pos [N, d]
    q.weight, k.weight, v.weight [L, H*e, d]     q.bias, k.bias, v.bias [L, H*e]
    out.weight [L, d, H*e]    out.bias [L, d]
    fc1.weight [L, m, d]      fc1.bias [L, m]
    fc2.weight [L, d, m]      fc2.bias [L, d]
    head.weight [K, d]        head.bias [K]
    pre.weight [d]            pre.bias [d]       where tokens are normalised before the first block: what comes after

A decoder of `V` symbols has `patch.weight` [d, V + 1] and `head.weight` [V, d], and where it can be told a class, what
that adds to every token: `condition.weight` [K, d].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

Weights = dict[str, Tensor]


def module_key(name: str) -> str:
    """A canonical name as that of a parameter or buffer, which may hold no dot."""
    return name.replace(".", "_")


def canonical_name(key: str) -> str:
    """The canonical name of a parameter or buffer; the inverse of `module_key`."""
    return key.replace("_", ".")


@torch.no_grad()
def canonical_weights(model: VisionTransformer) -> Weights:
    """Fold a timm VisionTransformer into canonical weights (float32, on the CPU).

    Args:
        model: a plain VisionTransformer, as `check_supported` accepts.

    Returns:
        The tensors listed at the top of this file.
    """
    blocks: dict[str, list[Tensor]] = {}

    def keep(name: str, weight: Tensor, bias: Tensor) -> None:
        blocks.setdefault(f"{name}.weight", []).append(weight)
        blocks.setdefault(f"{name}.bias", []).append(bias)

    for block in model.blocks:
        weight, bias = _fold_norm(block.norm1, block.attn.qkv)
        for name, part, offset in zip("qkv", weight.chunk(3), bias.chunk(3), strict=True):
            keep(name, part, offset)
        keep("out", *_fold_scale(block.attn.proj, block.ls1))
        keep("fc1", *_fold_norm(block.norm2, block.mlp.fc1))
        keep("fc2", *_fold_scale(block.mlp.fc2, block.ls2))

    final_norm = model.norm if isinstance(model.norm, nn.LayerNorm) else model.fc_norm
    head_weight, head_bias = _fold_norm(final_norm, model.head)
    prefix, positions = _tokens(model)
    folded = {
        "patch.weight": model.patch_embed.proj.weight.flatten(1),
        "patch.bias": _bias(model.patch_embed.proj),
        "prefix": prefix,
        "pos": positions,
        **{name: torch.stack(parts) for name, parts in blocks.items()},
        "head.weight": head_weight,
        "head.bias": head_bias,
    }
    if model.global_pool == "":
        columns = folded["patch.weight"].split([model.num_classes + 1, model.in_chans - model.num_classes - 1], dim=1)
        folded["patch.weight"] = columns[0]
        folded |= {"condition.weight": columns[1].mT} if columns[1].numel() else {}
    if isinstance(model.norm_pre, nn.LayerNorm):
        folded |= {"pre.weight": model.norm_pre.weight, "pre.bias": model.norm_pre.bias}
    return {name: tensor.detach().to("cpu", torch.float32, copy=True).contiguous() for name, tensor in folded.items()}


def _bias(linear: nn.Linear | nn.Conv2d) -> Tensor:
    return linear.weight.new_zeros(linear.weight.shape[0]) if linear.bias is None else linear.bias


def _fold_norm(norm: nn.Module, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """The linear map that reads the normalisation without gain and bias."""
    if not isinstance(norm, nn.LayerNorm) or norm.weight is None:
        return linear.weight, _bias(linear)
    return linear.weight * norm.weight, _bias(linear) + linear.weight @ norm.bias


def _fold_scale(linear: nn.Linear, scale: nn.Module) -> tuple[Tensor, Tensor]:
    """The linear map that writes what LayerScale would have scaled."""
    gamma = getattr(scale, "gamma", None)
    if gamma is None:
        return linear.weight, _bias(linear)
    return linear.weight * gamma[:, None], _bias(linear) * gamma


def _tokens(model: VisionTransformer) -> tuple[Tensor, Tensor]:
    """Prefix tokens with their positions [P, d], and the positions of the patches [N, d]."""
    width = model.embed_dim
    tokens = [token[0] for token in (model.cls_token, model.reg_token) if token is not None]
    prefix = torch.cat(tokens) if tokens else torch.zeros(0, width)
    if model.pos_embed is None:
        return prefix, torch.zeros(model.patch_embed.num_patches, width)
    positions = model.pos_embed[0]
    if not model.no_embed_class:
        prefix, positions = prefix + positions[: len(prefix)], positions[len(prefix) :]
    return prefix, positions
