"""Initial weights of models that learn weights of their own: random, or made of the teacher's."""

from __future__ import annotations

import torch

from projpipe.projection.initialisation import evenly_spaced, initial_factors
from projpipe.projection.project import project
from projpipe.projection.source import Source, merged_weights
from projpipe.transformer.canonical import Weights
from projpipe.transformer.elastic import block_groups
from projpipe.transformer.spec import TransformerSpec


def random_init(spec: TransformerSpec, generator: torch.Generator) -> Weights:
    """Random canonical weights of one model, a classifier's head left out (Glorot and Bengio, 2010)."""
    weights: Weights = {}
    for name, shape in spec.weight_shapes(num_classes=0).items():
        if name.startswith("head") and not spec.symbols:
            continue
        if name == "pre.weight":
            weights[name] = torch.ones(shape)
        elif name in ("prefix", "pos"):
            weights[name] = torch.randn(shape, generator=generator) * 0.02
        elif name.endswith("bias"):
            weights[name] = torch.zeros(shape)
        else:
            bound = (6 / (shape[-1] + shape[-2])) ** 0.5
            weights[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return weights


def selected_init(source: Source, spec: TransformerSpec) -> Weights:
    """Canonical weights of one model selected from the source's, with what belongs to all of its classes.

    Weight selection (Xu et al., 2024, arXiv 2311.18823): the first blocks of the source, and of each of their
    dimensions evenly spaced entries. Maps that read fewer entries of the residual stream are larger in return, as in
    the init of the projection, and so are queries and keys of fewer dimensions.
    """
    own, layers = source.spec, slice(spec.depth)
    reading, sharpness = (own.embed_dim / spec.embed_dim) ** 0.5, (own.head_dim / spec.head_dim) ** 0.25
    residual = evenly_spaced(own.embed_dim, spec.embed_dim)
    heads = evenly_spaced(own.num_heads, spec.num_heads)
    units = (heads[:, None] * own.head_dim + evenly_spaced(own.head_dim, spec.head_dim)).flatten()
    hidden = evenly_spaced(own.mlp_dim, spec.mlp_dim)
    given = source.weights
    last = ("prefix", "pos", "head.weight", "condition.weight")
    weights = {name: given[name][..., residual] for name in last if name in given}
    weights |= {name: given[name][residual] for name in ("patch.weight", "patch.bias")}
    weights |= {name: given[name][residual] for name in ("pre.weight", "pre.bias") if name in given}
    weights["head.bias"] = given["head.bias"]
    weights["head.weight"] = weights["head.weight"] * reading
    of_units = (("q", units, sharpness), ("k", units, sharpness), ("v", units, 1.0), ("fc1", hidden, 1.0))
    for name, rows, scale in of_units:
        weights[f"{name}.weight"] = given[f"{name}.weight"][layers, rows][..., residual] * reading * scale
        weights[f"{name}.bias"] = given[f"{name}.bias"][layers, rows] * scale
    for name, columns in (("out", units), ("fc2", hidden)):
        weights[f"{name}.weight"] = given[f"{name}.weight"][layers, residual][..., columns]
        weights[f"{name}.bias"] = given[f"{name}.bias"][layers, residual]
    return {name: tensor.clone() for name, tensor in weights.items()}


@torch.no_grad()
def principal_init(source: Source, spec: TransformerSpec, ranked: bool = False) -> Weights:
    """Canonical weights of one model as the untrained projection makes them, with what belongs to all classes.

    With `ranked` heads and units have the order of importance, see `transformer.elastic`.
    """
    groups = block_groups(source.spec.depth, spec.depth)
    factors, biases = initial_factors(source, spec, groups, torch.Generator().manual_seed(0), ranked=ranked)
    weights = project(merged_weights(source.weights, groups), factors)
    return {name: tensor + biases.get(name, 0.0) for name, tensor in weights.items()}
