"""Which tensors a projector's folder holds, by the sizes in its manifest: known before anything is read or allocated.

A test holds it to what an operator has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from projpipe.projection.conditioning import Conditioning
from projpipe.projection.project import LINEAR_MAPS
from projpipe.projection.size_offsets import size_offset_shapes
from projpipe.projection.task_encoder import HIDDEN
from projpipe.transformer.canonical import module_key
from projpipe.transformer.class_weights import class_weights
from projpipe.transformer.elastic import block_groups
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

Named = Iterator[tuple[str, tuple[int, ...]]]


def projector_shapes(
    source: TransformerSpec,
    student: TransformerSpec,
    conditioning: Conditioning,
    num_classes: int,
    free_weights: bool,
    class_map: bool,
    sizes: Sizes | None = None,
    compact: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors by name: those of the source, of the operator, and the projected weights.

    A compact folder has no statistics, which a start of training takes, and no factors, which projected weights stand
    for.
    """
    trained = _named("statistics.", statistics_shapes(source)) | _named("operator.factors.", _factors(source, student))
    own = class_weights(student).own_shapes(num_classes, student.embed_dim)
    weights = student.weight_shapes(num_classes)
    return {
        **_named("source.", _of_all_classes(source, num_classes)),
        **({} if compact else trained),
        **_named("operator.free.", _free(weights | own, free_weights)),
        **_named("operator.", _of_classes(source, student, num_classes, class_map)),
        **_named("operator.", _film(source, student, conditioning, num_classes)),
        **_named("operator.", _experts(source, student, conditioning, num_classes)),
        **_named("projected.", _of_all_classes(student, num_classes)),
        **({} if sizes is None else _named("sizes.", size_offset_shapes(sizes))),
    }


def _named(prefix: str, shapes: Mapping[str, tuple[int, ...]] | Named) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}{name}": shape for name, shape in dict(shapes).items()}


def _of_all_classes(spec: TransformerSpec, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Of the weights of a model that knows all classes."""
    told = {"condition.weight": (num_classes, spec.embed_dim)} if spec.symbols else {}
    return spec.weight_shapes(num_classes) | told


def statistics_shapes(spec: TransformerSpec) -> Named:
    """Of the statistics of a source's activations."""
    yield "residual.second_moment", (spec.embed_dim, spec.embed_dim)
    for name in ("q.second_moment", "k.second_moment", "heads.mean", "heads.second_moment"):
        yield name, (spec.depth, spec.attn_dim)
    for name in ("hidden.mean", "hidden.second_moment"):
        yield name, (spec.depth, spec.mlp_dim)


def _factors(source: TransformerSpec, student: TransformerSpec) -> dict[str, tuple[int, int, int]]:
    """Shapes `[L_s, student, source]` of the factors."""
    groups = block_groups(source.depth, student.depth)
    blocks, longest = len(groups), max(map(len, groups))
    streams = {"embed_write": 1, "head_read": 1}
    streams |= dict.fromkeys(("attn_read", "attn_write", "mlp_read", "mlp_write"), blocks)
    heads = blocks, student.attn_dim, longest * source.attn_dim
    hidden = blocks, student.mlp_dim, longest * source.mlp_dim
    return {
        **{name: (count, student.embed_dim, source.embed_dim) for name, count in streams.items()},
        **{f"{name}_units": hidden if name.startswith("fc") else heads for name in LINEAR_MAPS},
    }


def _free(weights: Mapping[str, tuple[int, ...]], free_weights: bool) -> Named:
    for name, shape in weights.items():
        if name != "k.bias" and (free_weights or (name.endswith("bias") and name != "head.bias")):
            yield module_key(name), shape


def _of_classes(source: TransformerSpec, student: TransformerSpec, num_classes: int, class_map: bool) -> Named:
    if class_map:
        yield "class_map.features", (num_classes, source.embed_dim)
        yield "class_map.weight", (student.embed_dim, source.embed_dim)


def _film(source: TransformerSpec, student: TransformerSpec, conditioning: Conditioning, num_classes: int) -> Named:
    """Of the task encoder, and of FiLM, which is linear in its embeddings."""
    if not conditioning.film:
        return
    width = conditioning.task_embed_dim
    yield "encoder.features", (num_classes, source.embed_dim)
    yield "encoder.whole.2.weight", (width,)
    yield "encoder.whole.2.bias", (width,)
    linear = {
        "encoder.each.0": (HIDDEN, source.embed_dim),
        "encoder.each.2": (HIDDEN, HIDDEN),
        "encoder.whole.1": (width, HIDDEN),
        "film": ((2 * student.depth + 1) * 2 * student.embed_dim, width),
    }
    for name, shape in linear.items():
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]


def _experts(source: TransformerSpec, student: TransformerSpec, conditioning: Conditioning, num_classes: int) -> Named:
    if count := conditioning.experts:
        yield "mixture.features", (num_classes, source.embed_dim)
        yield "mixture.centres", (count, source.embed_dim)
        yield "mixture.log_sharpness", ()
        for name, shape in student.weight_shapes(num_classes).items():
            if name == "head.weight" and not student.symbols:
                yield "experts.head_weight", (count, student.embed_dim, student.embed_dim)
            elif name != "k.bias" and (student.symbols or name != "head.bias"):
                yield f"experts.{module_key(name)}", (count, *shape)
