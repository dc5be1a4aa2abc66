"""Student weights as those of a stock timm VisionTransformer, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import InputSettings, VitArguments, create_vit

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

ARCHITECTURE = "vit_tiny_patch16_224"  # timm's plain VisionTransformer; every size is given as an argument


@torch.no_grad()
def export_student(spec: TransformerSpec, weights: Weights, settings: InputSettings | None = None) -> VisionTransformer:
    """A timm model in eval mode that computes what `forward_students` computes.

    Args:
        spec: the student's shape.
        weights: canonical weights of one student, without an axis of tasks. Prefix tokens beyond those of the spec
            become register tokens.
        settings: what the model says of itself; None for what `create_vit` takes for it.
    """
    arguments = timm_arguments(spec, len(weights["prefix"]))
    asked = VitArguments(arguments, spec.in_chans, len(weights["head.bias"]), settings)
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced, so that nobody should notice the draw
        model = create_vit(ARCHITECTURE, asked)
    model.load_state_dict(timm_state(spec, weights))
    return model.eval()


def timm_arguments(spec: TransformerSpec, num_prefix_tokens: int) -> dict[str, Any]:
    """What makes `ARCHITECTURE` a model of this shape."""
    return {
        "img_size": list(spec.image_size),
        "patch_size": spec.patch_size,
        "embed_dim": spec.embed_dim,
        "depth": spec.depth,
        "num_heads": spec.num_heads,
        "mlp_ratio": spec.mlp_ratio,
        "class_token": spec.class_token,
        "reg_tokens": num_prefix_tokens - int(spec.class_token),
        "no_embed_class": True,
        "global_pool": spec.pool,
        "fc_norm": spec.norm_after_pool,
        "weight_init": "skip",
        **({"pre_norm": True} if spec.pre_norm else {}),
        **({"act_layer": spec.activation} if spec.activation != "gelu" else {}),
    }


def timm_state(spec: TransformerSpec, weights: Weights) -> Weights:
    """Canonical weights under timm's names; normalisations get gain 1 and bias 0."""
    prefix = weights["prefix"]
    state = {}
    for norm in norm_names(spec):
        state[f"{norm}.weight"] = prefix.new_ones(spec.embed_dim)
        state[f"{norm}.bias"] = prefix.new_zeros(spec.embed_dim)
    if spec.class_token:
        state["cls_token"] = prefix[None, :1]
    if len(prefix) > int(spec.class_token):
        state["reg_token"] = prefix[None, int(spec.class_token) :]
    state["pos_embed"] = weights["pos"][None]
    if spec.pre_norm:  # where timm embeds patches without a bias
        state["pos_embed"] = state["pos_embed"] + weights["patch.bias"]
        state["norm_pre.weight"], state["norm_pre.bias"] = weights["pre.weight"], weights["pre.bias"]
    else:
        state["patch_embed.proj.bias"] = weights["patch.bias"]
    state["patch_embed.proj.weight"] = weights["patch.weight"].view(
        spec.embed_dim, spec.in_chans, spec.patch_size, spec.patch_size
    )
    for layer in range(spec.depth):
        for part in ("weight", "bias"):
            block = f"blocks.{layer}"
            state[f"{block}.attn.qkv.{part}"] = torch.cat([weights[f"{name}.{part}"][layer] for name in "qkv"])
            for name, module in _IN_A_BLOCK.items():
                state[f"{block}.{module}.{part}"] = weights[f"{name}.{part}"][layer]
    state["head.weight"], state["head.bias"] = weights["head.weight"], weights["head.bias"]
    return state


def from_timm_state(spec: TransformerSpec, state: Weights) -> Weights:
    """Canonical weights of a state dict that `timm_state` made.

    Raises:
        KeyError: a tensor is missing.
    """
    tokens = [state[name][0] for name in ("cls_token", "reg_token") if name in state]
    weights = {
        "prefix": torch.cat(tokens) if tokens else torch.zeros(0, spec.embed_dim),
        "pos": state["pos_embed"][0],
        "patch.weight": state["patch_embed.proj.weight"].flatten(1),
        "head.weight": state["head.weight"],
        "head.bias": state["head.bias"],
    }
    if spec.pre_norm:
        weights["patch.bias"] = torch.zeros(spec.embed_dim)
        weights |= {"pre.weight": state["norm_pre.weight"], "pre.bias": state["norm_pre.bias"]}
    else:
        weights["patch.bias"] = state["patch_embed.proj.bias"]
    for part in ("weight", "bias"):
        qkv = torch.stack([state[f"blocks.{layer}.attn.qkv.{part}"] for layer in range(spec.depth)])
        weights |= {f"{name}.{part}": third for name, third in zip("qkv", qkv.chunk(3, dim=1), strict=True)}
        for name, module in _IN_A_BLOCK.items():
            blocks = [state[f"blocks.{layer}.{module}.{part}"] for layer in range(spec.depth)]
            weights[f"{name}.{part}"] = torch.stack(blocks)
    return weights


_IN_A_BLOCK = {"out": "attn.proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}


def norm_names(spec: TransformerSpec) -> list[str]:
    """timm's names for the normalisations that have parameters."""
    of_blocks = [f"blocks.{layer}.norm{which}" for layer in range(spec.depth) for which in (1, 2)]
    return [*of_blocks, "fc_norm" if spec.norm_after_pool else "norm"]
