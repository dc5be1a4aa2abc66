"""Which tensors a projector's folder holds, by the sizes in its manifest: known before anything is read or allocated.

A test holds it to what an operator has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from projpipe.projection.factors import Conditioning
from projpipe.projection.products import kept_factors
from projpipe.projection.project import LINEAR_MAPS, READING
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
    """Shapes of all tensors by name: those of the source, of the operator, and what is multiplied ahead.

    A compact folder has no statistics, which a start of training takes, and no factors that products stand for.
    """
    factors = _factors(source, student)
    kept = {name: factors[name] for name in factors if not compact or name in kept_factors(factors, conditioning)}
    own = class_weights(student).own_shapes(num_classes, student.embed_dim)
    weights = student.weight_shapes(num_classes)
    return {
        **{f"source.{name}": shape for name, shape in _source(source, num_classes)},
        **({} if compact else {f"statistics.{name}": shape for name, shape in statistics_shapes(source)}),
        **{f"operator.factors.{name}": shape for name, shape in _terms(kept, conditioning)},
        **{f"operator.free.{name}": shape for name, shape in _free(weights | own, free_weights)},
        **{f"operator.{name}": shape for name, shape in _of_classes(source, student, num_classes, class_map)},
        **{f"operator.{name}": shape for name, shape in _of_tasks(source, factors, student, conditioning, num_classes)},
        **{f"operator.{name}": shape for name, shape in _experts(source, student, conditioning, num_classes)},
        **{f"products.{name}": shape for name, shape in _products(factors, source, conditioning)},
        **({} if sizes is None else {f"sizes.{name}": shape for name, shape in size_offset_shapes(sizes).items()}),
    }


def _source(spec: TransformerSpec, num_classes: int) -> Named:
    yield from spec.weight_shapes(num_classes).items()
    if spec.symbols:
        yield "condition.weight", (num_classes, spec.embed_dim)


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


def _terms(factors: Mapping[str, tuple[int, int, int]], conditioning: Conditioning) -> Named:
    for name, (blocks, student, source) in factors.items():
        terms = conditioning.of(name)
        yield f"{name}.base", (blocks, student, source)
        if terms.templates:
            yield f"{name}.templates", (blocks, terms.templates, student * source)


def _free(weights: Mapping[str, tuple[int, ...]], free_weights: bool) -> Named:
    for name, shape in weights.items():
        if name != "k.bias" and (free_weights or (name.endswith("bias") and name != "head.bias")):
            yield module_key(name), shape


def _of_classes(source: TransformerSpec, student: TransformerSpec, num_classes: int, class_map: bool) -> Named:
    if class_map:
        yield "class_map.features", (num_classes, source.embed_dim)
        yield "class_map.weight", (student.embed_dim, source.embed_dim)


def _of_tasks(
    source: TransformerSpec,
    factors: Mapping[str, tuple[int, int, int]],
    student: TransformerSpec,
    conditioning: Conditioning,
    num_classes: int,
) -> Named:
    """Of the task encoder, and of what is linear in its embeddings."""
    linear = {}
    if conditioning.changes_factors:
        streams = [shape for name, shape in factors.items() if not name.endswith("units")]
        number = sum(blocks * (conditioning.templates + conditioning.gates * width) for blocks, _, width in streams)
        linear["coefficients"] = number, conditioning.task_embed_dim
    if conditioning.film:
        linear["film"] = (2 * student.depth + 1) * 2 * student.embed_dim, conditioning.task_embed_dim
    if linear:
        yield "encoder.features", (num_classes, source.embed_dim)
        yield "encoder.whole.2.weight", (conditioning.task_embed_dim,)
        yield "encoder.whole.2.bias", (conditioning.task_embed_dim,)
        linear["encoder.each.0"] = HIDDEN, source.embed_dim
        linear["encoder.each.2"] = HIDDEN, HIDDEN
        linear["encoder.whole.1"] = conditioning.task_embed_dim, HIDDEN
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


def _products(
    factors: Mapping[str, tuple[int, int, int]], source: TransformerSpec, conditioning: Conditioning
) -> Named:
    for name, stream in LINEAR_MAPS.items():
        blocks, units, _ = factors[f"{name}_units"]
        width = factors[stream][1]
        if conditioning.gates:
            yield name, (1, blocks, *((units, source.embed_dim) if name in READING else (source.embed_dim, units)))
            continue
        parts = 1 + conditioning.templates
        yield f"{name}.weight", (blocks, parts, *((units, width) if name in READING else (width, units)))
        yield f"{name}.bias", (blocks, 1, units) if name in READING else (blocks, parts, width)
