"""What the source's activations say about its residual stream, its heads and its hidden units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from projpipe.teacher.data import TeacherData

if TYPE_CHECKING:
    from timm.models.vision_transformer import Block, VisionTransformer

IMAGES, BATCH_SIZE = 2048, 256


def measure_activations(model: VisionTransformer, data: TeacherData) -> dict[str, Tensor]:
    """`activation_statistics` on `IMAGES` of known classes of the train split, evenly spaced.

    Nothing of a held-out class goes in. The model is on the device of the data.
    """
    ids = data.image_ids("train")
    ids = ids[~np.isin(data.labels[ids].numpy(), data.card.held_out_classes)]
    ids = ids[np.linspace(0, len(ids) - 1, min(len(ids), IMAGES)).round().astype(int)]
    say = partial(data.objective.teacher_logits, model)
    return activation_statistics(model, (partial(say, *batch) for batch in data.batches(ids, BATCH_SIZE)))


@torch.inference_mode()
def activation_statistics(model: VisionTransformer, forwards: Iterable[Callable[[], object]]) -> dict[str, Tensor]:
    """Moments of the source's activations, averaged over images and tokens.

    Args:
        model: a supported timm VisionTransformer of depth `L`, width `d`, `H` heads of size `e`, `m` hidden units.
        forwards: each runs the model on some images.

    Returns:
        `residual.second_moment` [d, d]: of what the blocks and the classifier read, normalised as LayerNorm does
            before its gain, pooled over all blocks that read it.
        `q.second_moment`, `k.second_moment` [L, H*e]: of queries and keys.
        `heads.mean`, `heads.second_moment` [L, H*e]: of the attention output, before it is written.
        `hidden.mean`, `hidden.second_moment` [L, m]: of the MLP's hidden units, before they are written.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def add(name: str, value: Tensor, rows: int) -> None:
        sums[name] = sums.get(name, 0.0) + value.double()
        counts[name] = counts.get(name, 0) + rows

    def read_residual(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].flatten(0, -2)
        x = F.layer_norm(x, x.shape[-1:])
        add("residual.second_moment", x.T @ x, len(x))

    def read_moments(name: str, layer: int, x: Tensor) -> None:
        x = x.flatten(0, -2)
        add(f"{name}.mean.{layer}", x.sum(0), len(x))
        add(f"{name}.second_moment.{layer}", x.square().sum(0), len(x))

    def watch(layer: int, block: Block) -> list[RemovableHandle]:
        def read_queries_and_keys(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            queries, keys, _values = output.chunk(3, -1)
            read_moments("q", layer, queries)
            read_moments("k", layer, keys)

        return [
            block.norm1.register_forward_pre_hook(read_residual),
            block.norm2.register_forward_pre_hook(read_residual),
            block.attn.qkv.register_forward_hook(read_queries_and_keys),
            block.attn.proj.register_forward_pre_hook(lambda _, inputs: read_moments("heads", layer, inputs[0])),
            block.mlp.fc2.register_forward_pre_hook(lambda _, inputs: read_moments("hidden", layer, inputs[0])),
        ]

    hooks = [hook for layer, block in enumerate(model.blocks) for hook in watch(layer, block)]
    final_norm = model.norm if isinstance(model.norm, nn.LayerNorm) else model.fc_norm
    hooks.append(final_norm.register_forward_pre_hook(read_residual))
    was_training = model.training
    model.eval()
    try:
        for forward in forwards:
            forward()
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()

    means = {name: (total / counts[name]).float().cpu() for name, total in sums.items()}
    names = ("q.second_moment", "k.second_moment", "heads.mean", "heads.second_moment", "hidden.mean")
    stacked = {
        name: torch.stack([means[f"{name}.{layer}"] for layer in range(len(model.blocks))])
        for name in (*names, "hidden.second_moment")
    }
    return {"residual.second_moment": means["residual.second_moment"], **stacked}
