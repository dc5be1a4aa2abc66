"""The pruned teacher: what is left of it when the units that matter least to one task are taken out.

Structured pruning with the library torch-pruning (Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023,
arXiv 2301.12900), which finds the weights that belong to one unit and have to go with it. Units are ranked by its
group Taylor importance (Molchanov et al., 2019, arXiv 1906.10771): the absolute product of weight and gradient, here of
the cross-entropy on the task's own images and classes. Nothing is trained afterwards.

Every block keeps the same number of units, so that what is left is a plain Vision Transformer. All blocks and all heads
are kept; the channels of the residual stream, the dimensions of every head and the hidden units of every MLP are
pruned. Each head keeps its own dimensions, instead of the same ones in all heads as the library's pruner has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.export import export_student
from projpipe.transformer.spec import STUDENT_NORM_EPS, TransformerSpec

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

BATCH_SIZE = 128  # bounds the memory that the gradient takes; the sum over batches does not depend on it
_BARE_PARAMETERS = ("cls_token", "reg_token", "pos_embed", "gamma")  # not a layer's that torch-pruning knows


def prune_for_task(
    teacher: VisionTransformer, images: Tensor, labels: Tensor, classes: Sequence[int], spec: TransformerSpec
) -> VisionTransformer:
    """Prune a copy of the teacher for a task, down to a shape.

    The same inputs give the same model.

    Args:
        teacher: a plain VisionTransformer, as `check_supported` accepts; it is left as it is.
        images: `[N, C, H, W]`, normalised, of the task's classes alone, on the teacher's device.
        labels: `[N]`, positions within `classes`.
        classes: the task's classes, as positions in the teacher's logits; the result's logits are in this order.
        spec: the shape to arrive at, as `pruned_spec` plans it.

    Returns:
        A stock timm model in eval mode on the CPU, with every LayerNorm and LayerScale folded into the weights beside
        it. It has as many heads and blocks as the teacher, and a classifier of the task's classes alone.
    """
    model = deepcopy(teacher).eval().requires_grad_(True)
    _keep_classes(model, classes)
    with torch.enable_grad():
        _accumulate_gradients(model, images, labels)
        _prune(model, spec, images[:1])
    return export_student(spec, canonical_weights(model))


def pruned_spec(teacher: TransformerSpec, num_classes: int, params: int) -> TransformerSpec:
    """The shape to which a teacher is pruned: at most `params` parameters, filled up with hidden units.

    Every width of a head leaves room for some number of hidden units; that pair is taken whose ratio of hidden units to
    residual width comes nearest to the teacher's.

    Args:
        num_classes: of the task.
        params: the most parameters, classifier included.

    Raises:
        InputError: not even one dimension a head and one hidden unit a block are that small.
    """

    def shape(head_dim: int, mlp_dim: int) -> TransformerSpec:
        width = teacher.num_heads * head_dim
        return replace(teacher, embed_dim=width, head_dim=head_dim, mlp_dim=mlp_dim, norm_eps=STUDENT_NORM_EPS)

    def change_of_ratio(spec: TransformerSpec) -> float:
        return abs(math.log(spec.mlp_dim / spec.embed_dim * teacher.embed_dim / teacher.mlp_dim))

    fitting = []
    for head_dim in range(1, teacher.head_dim + 1):
        one, two = (shape(head_dim, units).deployed_params(num_classes) for units in (1, 2))
        if one <= params:
            units = 1 + (params - one) // (two - one)
            fitting.append(shape(head_dim, min(units, teacher.mlp_dim)))
    if not fitting:
        least = shape(1, 1).deployed_params(num_classes)
        raise InputError(
            f"params: {params:,} is less than pruning leaves of a teacher of {teacher.depth} blocks with "
            f"{teacher.num_heads} heads for {num_classes} classes; ask for at least {least:,}"
        )
    return min(fitting, key=change_of_ratio)


def _keep_classes(model: VisionTransformer, classes: Sequence[int]) -> None:
    """Cut the classifier to the rows of the task's classes."""
    rows = torch.as_tensor(classes, dtype=torch.long, device=model.head.weight.device)
    head = nn.Linear(model.head.in_features, len(rows), bias=model.head.bias is not None, device="meta")
    head.weight = nn.Parameter(model.head.weight.detach()[rows])
    if model.head.bias is not None:
        head.bias = nn.Parameter(model.head.bias.detach()[rows])
    model.head = head


def _accumulate_gradients(model: VisionTransformer, images: Tensor, labels: Tensor) -> None:
    """Leave the gradient of the mean cross-entropy in the model's parameters."""
    model.zero_grad()
    for some_images, some_labels in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        (F.cross_entropy(model(some_images), some_labels, reduction="sum") / len(images)).backward()


def _prune(model: VisionTransformer, spec: TransformerSpec, image: Tensor) -> None:
    """Prune a model that holds its gradients, in place. All units are ranked before the first one goes.

    Afterwards the weights have the shapes of `spec`, but timm's notes of these shapes are out of date.
    """
    import torch_pruning as tp

    bare = [(p, p.dim() - 1) for name, p in model.named_parameters() if name.rpartition(".")[2] in _BARE_PARAMETERS]
    graph = tp.DependencyGraph().build_dependency(model, example_inputs=image, unwrapped_parameters=bare)
    importance = tp.importance.GroupTaylorImportance()

    def roots() -> Iterator[tuple[nn.Module, object, int, int, int]]:
        """A layer, how it is pruned, how many units it has, in how many sections, and how many a section keeps."""
        yield model.patch_embed.proj, tp.prune_conv_out_channels, model.embed_dim, 1, spec.embed_dim
        for block in model.blocks:
            yield block.attn.proj, tp.prune_linear_in_channels, block.attn.attn_dim, spec.num_heads, spec.head_dim
            yield block.mlp.fc1, tp.prune_linear_out_channels, block.mlp.fc1.out_features, 1, spec.mlp_dim

    pruned = [
        (layer, function, _least(importance(graph.get_pruning_group(layer, function, list(range(units)))), *kept))
        for layer, function, units, *kept in roots()
    ]
    for layer, function, units in pruned:
        if units:
            graph.get_pruning_group(layer, function, units).prune()
    model.embed_dim = spec.embed_dim  # the one of these notes that `canonical_weights` reads


def _least(importance: Tensor, sections: int, kept: int) -> list[int]:
    """The units that go where each of the equally long sections keeps its `kept` most important ones."""
    ranks = importance.view(sections, -1).argsort(dim=1, descending=True, stable=True)
    first = torch.arange(sections, device=importance.device)[:, None] * ranks.shape[1]
    return sorted((ranks[:, kept:] + first).flatten().tolist())
