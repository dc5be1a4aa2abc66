"""A student made for some images of its task: no gradient, every linear map fitted by ridge regression.

The basis of the residual stream, heads and hidden units are chosen by what the source does on these images, as
class-specific pruning does. Then, block after block, each linear map is fitted to what the source's units and residual
stream are on them, from what the student's own are: the compensation of GRAIL (arXiv 2602.23795) and CORP (arXiv
2602.05243), here from the projection's weights instead of from kept units alone. The code is projpipe's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.project import LINEAR_MAPS
from projpipe.projection.source import Source
from projpipe.transformer.canonical import Weights
from projpipe.transformer.class_weights import pad_tasks
from projpipe.transformer.forward import ACTIVATE, attend, block_weights, embed, linear, normalise, read_out
from projpipe.transformer.spec import TransformerSpec

RIDGE = 0.01  # of a map's mean squared input: how strongly it is held to its projected weights
MOST_TOKENS = 4096  # that maps are fitted on, evenly spaced


@dataclass
class _Activations:
    """What a source does on images, on some tokens of them `[N, *]`, which are the `rows` of all, layer by layer.

    `units`: by the linear map that makes them (`q`, `k`, `v`, `fc1`) or reads them (`out`, `fc2`); `entering` has the
    residual stream before each block and behind the last one, `attention` what attention adds to it.
    """

    rows: Tensor
    units: dict[str, list[Tensor]] = field(default_factory=lambda: {name: [] for name in LINEAR_MAPS})
    entering: list[Tensor] = field(default_factory=list)
    attention: list[Tensor] = field(default_factory=list)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))


@torch.no_grad()
def calibrated_weights(source: Source, student: TransformerSpec, classes: Sequence[int], images: Tensor) -> Weights:
    """Canonical weights of one student for a task.

    Args:
        source: a classifier; its own statistics are not looked at.
        student: the shape.
        classes: class ids of the task.
        images: encoded `[N, C, H, W]`, of the task's classes.
    """
    found = _record(source.spec, {name: tensor[None] for name, tensor in source.weights.items()}, images)
    rows = found.rows
    measured = replace(source, statistics=_statistics(source.spec, found))
    operator = ProjectionOperator(measured, student, Conditioning.none(), seed=0)
    made = operator(*pad_tasks([classes]))
    factors = dict(operator.factors.items())
    batch, x = len(images), embed(student, made, images[None])

    def fit(name: str, inputs: Tensor, wanted: Tensor, layer: int) -> None:
        """Set the map of a block so that these inputs give, as far as they can, what is wanted."""
        weight, bias = ridge(inputs, wanted, made[f"{name}.weight"][0, layer])
        made[f"{name}.weight"][0, layer], made[f"{name}.bias"][0, layer] = weight, bias

    made = {name: tensor.clone() for name, tensor in made.items()}
    for layer, group in enumerate(operator.groups):
        y = normalise(student, x)
        for name in "qkv":
            fit(name, y[0, rows], _units(found, name, group, factors[f"{name}_units"][layer]), layer)
        block = block_weights(made, layer)
        queries, keys, values = (linear(y, block, name) for name in "qkv")
        attended = attend(student, queries, keys, values, batch)
        stream = found.entering[group[0]] + torch.stack(found.attention[group.start : group.stop]).sum(0)
        fit("out", attended[0, rows], stream @ factors["attn_write"][layer].T - x[0, rows], layer)
        x = x + linear(attended, block_weights(made, layer), "out")

        y = normalise(student, x)
        fit("fc1", y[0, rows], _units(found, "fc1", group, factors["fc1_units"][layer]), layer)
        hidden = ACTIVATE[student.activation](linear(y, block_weights(made, layer), "fc1"))
        fit("fc2", hidden[0, rows], found.entering[group[-1] + 1] @ factors["mlp_write"][layer].T - x[0, rows], layer)
        x = x + linear(hidden, block_weights(made, layer), "fc2")
    read = read_out(student, x, batch, made["prefix"].shape[1])[0]
    head, bias = ridge(read, found.logits[:, list(classes)], made["head.weight"][0])
    return {name: tensor[0] for name, tensor in made.items()} | {"head.weight": head, "head.bias": bias}


def ridge(inputs: Tensor, wanted: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Weight `[out, in]` and bias `[out]` that map `inputs` `[N, in]` to what is `wanted` `[N, out]`.

    The least squares have a penalty on the distance from the weight `start`, of `RIDGE` times the mean squared input.
    """
    centre = inputs.mean(0)
    x = (inputs - centre).double()
    missing = (wanted - inputs @ start.T).double()
    gram = x.T @ x
    penalty = RIDGE * gram.diagonal().mean().clamp(min=1e-12)
    gram.diagonal().add_(penalty)
    weight = start + torch.linalg.solve(gram, x.T @ (missing - missing.mean(0))).T.float()
    return weight, (wanted - inputs @ weight.T).mean(0)


def _units(found: _Activations, name: str, group: range, units: Tensor) -> Tensor:
    """What the student's units `[N, u]` are to be: those of a group's blocks, side by side, by the map `units`."""
    side_by_side = torch.cat([found.units[name][layer] for layer in group], -1)
    return F.pad(side_by_side, (0, units.shape[1] - side_by_side.shape[1])) @ units.T


def _some_tokens(count: int) -> Tensor:
    """Positions of so many tokens, or of `MOST_TOKENS` of them at equal distances."""
    return torch.linspace(0, count - 1, min(count, MOST_TOKENS)).round().long()


def _record(spec: TransformerSpec, weights: Weights, images: Tensor) -> _Activations:
    """Run a source on images."""
    x = embed(spec, weights, images[None])
    rows = _some_tokens(x.shape[1])
    found = _Activations(rows)
    for layer in range(spec.depth):
        found.entering.append(x[0, rows])
        block, y = block_weights(weights, layer), normalise(spec, x)
        queries, keys, values = (linear(y, block, name) for name in "qkv")
        attended = attend(spec, queries, keys, values, len(images))
        added = linear(attended, block, "out")
        x = x + added
        found.attention.append(added[0, rows])
        before = linear(normalise(spec, x), block, "fc1")
        hidden = ACTIVATE[spec.activation](before)
        x = x + linear(hidden, block, "fc2")
        of_block = {"q": queries, "k": keys, "v": values, "out": attended, "fc1": before, "fc2": hidden}
        for name, units in of_block.items():
            found.units[name].append(units[0, rows])
    found.entering.append(x[0, rows])
    found.logits = linear(read_out(spec, x, len(images), weights["prefix"].shape[1]), weights, "head")[0]
    return found


def _statistics(spec: TransformerSpec, found: _Activations) -> dict[str, Tensor]:
    """Those that the projection starts from, as `teacher.activations` measures them on images of all tasks."""
    attention = [x + added for x, added in zip(found.entering, found.attention, strict=False)]
    read = torch.cat([normalise(spec, x) for x in (*found.entering, *attention)])

    def moment(name: str, power: int) -> Tensor:
        return torch.stack([units.pow(power).mean(0) for units in found.units[name]])

    return {
        "residual.second_moment": read.T @ read / len(read),
        "q.second_moment": moment("q", 2),
        "k.second_moment": moment("k", 2),
        "heads.mean": moment("out", 1),
        "heads.second_moment": moment("out", 2),
        "hidden.mean": moment("fc2", 1),
        "hidden.second_moment": moment("fc2", 2),
    }
