"""Initial factors: a PCA of the residual stream, and the most important heads and hidden units.

Two other inits are there to compare with: `random` (a random orthogonal basis, heads and units drawn at random) and
`uniform` (evenly spaced coordinates, heads and units, as weight selection takes them: Xu et al., 2024,
arXiv 2311.18823).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.projection.source import Source, merge_blocks, side_by_side
from projpipe.transformer.spec import TransformerSpec

NOISE = 0.1  # norm of the noise on a row of a selection, whose entry is one


def initial_factors(
    source: Source,
    student: TransformerSpec,
    groups: list[range],
    generator: torch.Generator,
    start: str = "principal",
    ranked: bool = False,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Initial factors and biases, with which a student is near its source.

    Residual stream: `E = P U^T` writes and `R = sqrt(d/d_s) U P^T` reads, where `U` holds the leading principal
    directions of what the source's blocks read, and `P` is an orthonormal basis of the vectors whose entries sum to
    zero. The student's LayerNorm then finds nothing to centre, and a student as wide as its source is exact.
    Heads and hidden units are chosen by their activations' second moment times the norm of what they write; the
    mean of what the dropped ones wrote goes into the bias. `start` is `principal`, which is all this, or one of the
    two above that replace basis and choice. With `ranked` the best units come first, so that smaller students can be
    cut out of these (`transformer.elastic`); else they have the source's order.

    Returns:
        Factors `[L_s, student, source]` by name, and biases `[L_s, d_s]` that are not zero at first, by canonical name.
    """
    spec = source.spec
    merged = merge_blocks(source.weights, groups)
    statistics = {
        name: side_by_side(moments, groups, dim=0)
        for name, moments in source.statistics.items()
        if name != "residual.second_moment"
    }
    blocks = len(groups)
    write = _residual_basis(source, student, generator, start)
    read = write * (spec.embed_dim / student.embed_dim) ** 0.5

    importance = _importance(statistics, merged)
    if start == "random":
        importance = {kind: torch.rand(value.shape, generator=generator) for kind, value in importance.items()}
    elif start == "uniform":
        within_heads = _evenly_spaced_heads(student, blocks, spec.head_dim, importance["heads"].shape[1])
        hidden = select_evenly(importance["hidden"].shape[1], student.mlp_dim).sum(0).expand(blocks, -1)
        importance = {"heads": within_heads, "queries": within_heads, "hidden": hidden}
    chosen = _choose(importance, spec.head_dim, student, ranked)
    factors = {
        "embed_write": write[None],
        "attn_read": read.expand(blocks, -1, -1),
        "attn_write": write.expand(blocks, -1, -1),
        "mlp_read": read.expand(blocks, -1, -1),
        "mlp_write": write.expand(blocks, -1, -1),
        "head_read": read[None],
    }
    # Fewer dimensions a head make smaller dot products, and a smaller divisor under them.
    sharpness = (student.head_dim / spec.head_dim) ** 0.25
    kinds = {"q": "queries", "k": "queries", "v": "heads", "out": "heads", "fc1": "hidden", "fc2": "hidden"}
    for name, kind in kinds.items():
        scale = sharpness if kind == "queries" else 1.0
        noise = torch.randn(chosen[kind].shape, generator=generator) * NOISE * chosen[kind].shape[-1] ** -0.5
        factors[f"{name}_units"] = (chosen[kind] + noise) * scale

    biases = {}
    for name, kind in (("out", "heads"), ("fc2", "hidden")):
        dropped = statistics[f"{kind}.mean"] * (1 - chosen[kind].sum(1))
        biases[f"{name}.bias"] = torch.einsum("sd,bdu,bu->bs", write, merged[f"{name}.weight"], dropped)
    return factors, biases


def _importance(statistics: Mapping[str, Tensor], merged: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Importance `[L_s, units]` of the units of values, of the hidden layer, and of queries with their keys."""
    return {
        "heads": statistics["heads.second_moment"] * merged["out.weight"].square().sum(1),
        "hidden": statistics["hidden.second_moment"] * merged["fc2.weight"].square().sum(1),
        "queries": (statistics["q.second_moment"] * statistics["k.second_moment"]).sqrt(),
    }


def _choose(
    importance: Mapping[str, Tensor], head_dim: int, student: TransformerSpec, ranked: bool
) -> dict[str, Tensor]:
    """One-hot rows `[L_s, student, source]` of the units that are kept; queries come from the heads of their values."""
    select: dict[str, list[Tensor]] = {"queries": [], "heads": [], "hidden": []}
    for queries, values, hidden in zip(*(importance[kind] for kind in ("queries", "heads", "hidden")), strict=True):
        heads = values.view(-1, head_dim).sum(1).argsort(descending=True, stable=True)
        for name, units in (("queries", queries), ("heads", values)):
            rows = select_within_heads(units.view(-1, head_dim), heads, student.num_heads, student.head_dim, ranked)
            select[name].append(rows)
        select["hidden"].append(select_units(hidden, student.mlp_dim, ranked))
    return {name: torch.stack(rows) for name, rows in select.items()}


def _residual_basis(source: Source, student: TransformerSpec, generator: torch.Generator, start: str) -> Tensor:
    """The map `[d_s, d]` from the source's residual stream to the student's."""
    width = source.spec.embed_dim
    if start == "uniform":
        return select_evenly(width, student.embed_dim)
    if start == "random":
        drawn = torch.randn(width, student.embed_dim - 1, generator=generator)
        basis = torch.linalg.qr(drawn - drawn.mean(0)).Q
    else:
        basis = principal_directions(source.statistics["residual.second_moment"], student.embed_dim - 1)
    return zero_sum_basis(student.embed_dim) @ basis.T


def _evenly_spaced_heads(student: TransformerSpec, blocks: int, head_dim: int, units: int) -> Tensor:
    """An importance `[blocks, units]` that makes evenly spaced heads, and units within them, the best."""
    heads = select_evenly(units // head_dim, min(student.num_heads, units // head_dim)).sum(0)
    within = select_evenly(head_dim, min(student.head_dim, head_dim)).sum(0)
    return (head_dim * heads[:, None] + within).flatten().expand(blocks, -1)


def select_evenly(length: int, count: int) -> Tensor:
    """One-hot rows `[count, length]` at equal distances."""
    return F.one_hot(evenly_spaced(length, count), length).float()


def evenly_spaced(length: int, count: int) -> Tensor:
    """`count` positions `[count]` of `0..length - 1` with equal distances; some twice if there are too few."""
    return torch.arange(count) * length // count


def principal_directions(second_moment: Tensor, count: int) -> Tensor:
    """The `count` leading eigenvectors `[d, count]` of a second moment `[d, d]`, orthogonal to the vector of ones."""
    width = second_moment.shape[0]
    without_ones = second_moment.double() - second_moment.double().trace() * torch.ones(width, width) / width
    vectors = torch.linalg.eigh(without_ones).eigenvectors.flip(-1)[:, :count]
    # Eigenvectors have no sign of their own: make the largest entry positive.
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return (vectors * largest.sign()).float()


def zero_sum_basis(width: int) -> Tensor:
    """An orthonormal basis `[width, width - 1]` of the vectors whose entries sum to zero (Helmert's)."""
    below = torch.ones(width, width - 1, dtype=torch.float64).triu()
    below[torch.arange(1, width), torch.arange(width - 1)] = -torch.arange(1, width, dtype=torch.float64)
    return F.normalize(below, dim=0).float()


def select_within_heads(
    importance: Tensor, ranking: Tensor, num_heads: int, head_dim: int, ranked: bool = False
) -> Tensor:
    """One-hot rows that give each student head the most important units of one source head.

    Args:
        importance: `[source heads, source head_dim]`.
        ranking: source heads, the best first. With more student heads than source heads, several share one and take
            its units in turn.
        ranked: the most important units of a head come first; else they have the source's order, so that a head kept
            whole is kept as it is.

    Returns:
        `[num_heads * head_dim, source heads * source head_dim]`; rows for which no unit is left are zero.
    """
    heads, width = importance.shape
    rows = torch.zeros(num_heads, head_dim, heads, width)
    for student_head in range(num_heads):
        source_head = int(ranking[student_head % heads])
        order = importance[source_head].argsort(descending=True, stable=True)
        start = student_head // heads * head_dim
        kept = order[start : start + head_dim]
        for row, unit in enumerate(kept if ranked else kept.sort().values):
            rows[student_head, row, source_head, unit] = 1.0
    return rows.view(num_heads * head_dim, heads * width)


def select_units(importance: Tensor, count: int, ranked: bool = False) -> Tensor:
    """One-hot rows `[count, units]` for the most important units: the best first, or in the source's order."""
    kept = importance.argsort(descending=True, stable=True)[:count]
    kept = kept if ranked else kept.sort().values
    rows = torch.zeros(count, len(importance))
    rows[torch.arange(len(kept)), kept] = 1.0
    return rows
