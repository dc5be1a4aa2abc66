"""Which timm models the canonical weights can stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from projpipe.errors import InputError, did_you_mean
from projpipe.transformer.spec import activation_of

if TYPE_CHECKING:
    from timm.models import PretrainedCfg
    from timm.models.vision_transformer import Block, VisionTransformer


def published(name: str) -> PretrainedCfg:
    """What timm says of the published weights of a model.

    Raises:
        InputError: there are no such weights.
    """
    import timm

    found = timm.models.get_pretrained_cfg(name)
    if found is None or not found.has_weights:
        raise InputError(
            f"extract_teacher.weights: timm has no pretrained weights of {name!r}; give the path of a safetensors "
            "file, or set weights to 'random'"
        )
    return found


def published_normalisation(name: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel, in 0..1, by which the published weights of a model expect its images.

    For another number of channels than theirs it is the mean over theirs, as timm fits the weights by adding them up.

    Raises:
        InputError: there are no such weights.
    """
    settings = published(name)
    both = list(settings.mean), list(settings.std)
    mean, std = (v if len(v) == channels else channels * [sum(v) / len(v)] for v in both)
    return mean, std


def check_architecture(name: str) -> None:
    """Refuse a name that timm does not know, or that stands for something else than a VisionTransformer.

    Args:
        name: as `timm.create_model` takes it, with or without a tag of weights: `vit_tiny_patch16_224.augreg_in21k`.

    Raises:
        InputError: names the nearest architecture.
    """
    import timm

    known = timm.list_models()
    architecture, _, tag = name.partition(".")
    if architecture not in known:
        hint = did_you_mean(architecture, known, otherwise="`timm.list_models('vit_*')` lists what there is")
        raise InputError(f"extract_teacher.architecture: {name!r} is not a model of timm; {hint}")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and name not in tagged:
        hint = did_you_mean(name, tagged, otherwise="it has none; leave the tag out", cutoff=0.0)
        raise InputError(f"extract_teacher.architecture: {name!r} is not a set of weights of timm; {hint}")
    with torch.device("meta"):  # takes no time and no memory
        _check_class(timm.create_model(name))


def check_supported(model: nn.Module) -> None:
    """Refuse a model that is not a plain Vision Transformer, as `canonical_weights` folds it.

    Plain is: square patches; class token, registers or neither; learned positions or none; with or without a LayerNorm
    before the blocks; blocks of LayerNorm, attention, LayerNorm and an MLP with a GELU (exact, by tanh or QuickGELU),
    with or without biases and LayerScale; a final LayerNorm before or after taking the class token or the average of
    the patches; one linear classifier.

    Raises:
        InputError: says in one sentence what the model has that cannot be projected.
    """
    _check_class(model)
    obstacles = list(dict.fromkeys(_obstacles(model)))
    if obstacles:
        raise _refusal(model, f"has {', '.join(obstacles)}")


def _check_class(model: nn.Module) -> None:
    from timm.models.vision_transformer import VisionTransformer

    if type(model) is not VisionTransformer:
        raise _refusal(model, f"is a {type(model).__name__}")


def _refusal(model: nn.Module, reason: str) -> InputError:
    name = getattr(model, "pretrained_cfg", {}).get("architecture", type(model).__name__)
    return InputError(
        f"extract_teacher.architecture: {name!r} {reason}, which cannot be projected; choose a plain "
        "VisionTransformer, such as 'vit_tiny_patch16_224' or 'vit_base_patch14_reg4_dinov2'"
    )


def _obstacles(model: VisionTransformer) -> Iterator[str]:
    """What the model has that canonical weights have no place for."""
    from timm.layers import PatchEmbed

    if type(model.patch_embed) is not PatchEmbed or not _absent(model.patch_embed.norm):
        yield "patches that are not embedded by one convolution"
    elif len(set(model.patch_embed.patch_size)) > 1:
        yield f"patches of {model.patch_embed.patch_size} that are not square"
    if not _absent(model.patch_drop):
        yield "dropped patches (patch_drop_rate)"
    decoder = model.global_pool == "" and not model.has_class_token and tuple(model.patch_embed.patch_size) == (1, 1)
    if not (model.global_pool in ("token", "avg") or decoder) or model.attn_pool is not None:
        yield f"pooling {model.global_pool!r} (global_pool)"
    if model.pool_include_prefix:
        yield "prefix tokens in its average (pool_include_prefix)"
    if not isinstance(model.head, nn.Linear):
        yield "no linear classifier"
    yield from _outer_norm_obstacles(model)
    for block in model.blocks:
        yield from _block_obstacles(block)


def _outer_norm_obstacles(model: VisionTransformer) -> Iterator[str]:
    """Of the normalisations before and after the blocks."""
    final = [norm for norm in (model.norm, model.fc_norm) if not _absent(norm)]
    if len(final) != 1:
        yield f"{len(final) or 'no'} final normalisation{'s' if final else ''} (final_norm)"
    yield from _norm_obstacles(*final, *([] if _absent(model.norm_pre) else [model.norm_pre]))
    if len({module.eps for module in model.modules() if isinstance(module, nn.LayerNorm)}) > 1:
        yield "LayerNorms of different eps (norm_layer)"


def _block_obstacles(block: Block) -> Iterator[str]:
    from timm.layers import Attention, Mlp
    from timm.models import vision_transformer

    if type(block) is not vision_transformer.Block:
        yield f"blocks of kind {type(block).__name__} (block_fn)"
        return
    yield from _norm_obstacles(block.norm1, block.norm2)
    if type(block.attn) is not Attention:
        yield f"attention of kind {type(block.attn).__name__} (attn_layer)"
    elif not (_absent(block.attn.q_norm) and _absent(block.attn.k_norm) and _absent(block.attn.norm)):
        yield "a normalisation inside its attention (qk_norm, scale_attn_norm)"
    if type(block.mlp) is not Mlp or not isinstance(block.mlp.fc1, nn.Linear):
        yield f"MLPs of kind {type(block.mlp).__name__} (mlp_layer)"
        return
    if not _absent(block.mlp.norm):
        yield "a normalisation inside its MLPs (scale_mlp_norm)"
    if activation_of(block.mlp.act) is None:
        yield f"the activation {type(block.mlp.act).__name__} instead of a GELU (act_layer)"


def _norm_obstacles(*norms: nn.Module) -> Iterator[str]:
    for norm in norms:
        if not isinstance(norm, nn.LayerNorm):
            yield f"normalisations of kind {type(norm).__name__} instead of LayerNorm (norm_layer)"


def _absent(module: nn.Module | None) -> bool:
    return module is None or isinstance(module, nn.Identity)
