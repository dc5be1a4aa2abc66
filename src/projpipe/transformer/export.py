"""Student weights as a stock timm VisionTransformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import create_vit

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

ARCHITECTURE = "vit_tiny_patch16_224"  # timm's plain VisionTransformer; every size is given as an argument


@torch.no_grad()
def export_student(
    spec: TransformerSpec,
    weights: Weights,
    label_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> VisionTransformer:
    """A timm model in eval mode that computes what `forward_students` computes.

    Args:
        spec: the student's shape.
        weights: canonical weights of one student, without an axis of tasks. Prefix tokens beyond those of the spec
            become register tokens.
        label_names, mean, std: what to store in the model's `pretrained_cfg`.
    """
    prefix = weights["prefix"]
    mlp_ratio = spec.mlp_dim / spec.embed_dim
    if int(mlp_ratio * spec.embed_dim) < spec.mlp_dim:
        mlp_ratio = math.nextafter(mlp_ratio, math.inf)
    with torch.random.fork_rng(devices=[]):  # what it starts from is replaced, so that nobody should notice the draw
        model = create_vit(
            ARCHITECTURE,
            {
                "img_size": list(spec.image_size),
                "patch_size": spec.patch_size,
                "embed_dim": spec.embed_dim,
                "depth": spec.depth,
                "num_heads": spec.num_heads,
                "mlp_ratio": mlp_ratio,
                "class_token": spec.class_token,
                "reg_tokens": len(prefix) - int(spec.class_token),
                "no_embed_class": True,
                "global_pool": spec.pool,
                "fc_norm": spec.norm_after_pool,
                "weight_init": "skip",
            },
            in_chans=spec.in_chans,
            num_classes=len(weights["head.bias"]),
            mean=mean,
            std=std,
            label_names=label_names,
        )
    model.load_state_dict(_timm_state(spec, weights, model.state_dict()))
    return model.eval()


def _timm_state(spec: TransformerSpec, weights: Weights, state: Weights) -> Weights:
    """Canonical weights under timm's names; normalisations get gain 1 and bias 0."""
    state = {
        name: torch.ones_like(value) if name.endswith("weight") else torch.zeros_like(value)
        for name, value in state.items()
        if "norm" in name
    }
    prefix = weights["prefix"]
    if spec.class_token:
        state["cls_token"] = prefix[None, :1]
    if len(prefix) > int(spec.class_token):
        state["reg_token"] = prefix[None, int(spec.class_token) :]
    state["pos_embed"] = weights["pos"][None]
    state["patch_embed.proj.weight"] = weights["patch.weight"].view(
        spec.embed_dim, spec.in_chans, spec.patch_size, spec.patch_size
    )
    state["patch_embed.proj.bias"] = weights["patch.bias"]
    for layer in range(spec.depth):
        for part in ("weight", "bias"):
            block = f"blocks.{layer}"
            state[f"{block}.attn.qkv.{part}"] = torch.cat([weights[f"{name}.{part}"][layer] for name in "qkv"])
            state[f"{block}.attn.proj.{part}"] = weights[f"out.{part}"][layer]
            state[f"{block}.mlp.fc1.{part}"] = weights[f"fc1.{part}"][layer]
            state[f"{block}.mlp.fc2.{part}"] = weights[f"fc2.{part}"][layer]
    state["head.weight"], state["head.bias"] = weights["head.weight"], weights["head.bias"]
    return state
