"""Models that share nothing: one for each of some tasks, what people train today.

They are trained side by side, as batched products, by the loop that trains everything else. Their initial weights are
random or what pruning left of the teacher. They learn with distillation or without.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.methods.model_init import random_init
from projpipe.projection.parameter_groups import ParameterGroup, matrices_decay
from projpipe.transformer.canonical import Weights, canonical_name, module_key
from projpipe.transformer.class_weights import MASKED
from projpipe.transformer.spec import TransformerSpec


class PerTaskModels(nn.Module):
    """A Transformer of its own for each of `T` tasks.

    Args:
        spec: the shape of each.
        tasks: their class ids.
        init: canonical initial weights, with a leading axis `T`; the classifiers' rows `[T, K, d]` are in the order of
            each task's classes, and filled up.
    """

    def __init__(self, spec: TransformerSpec, tasks: Sequence[Sequence[int]], init: Weights) -> None:
        super().__init__()
        self.spec = spec
        self.tasks = [list(task) for task in tasks]
        self.weights = nn.ParameterDict(
            {module_key(name): nn.Parameter(tensor.clone()) for name, tensor in init.items()}
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """All matrices decay."""
        return matrices_decay(self.named_parameters())

    def forward(self, classes: Tensor, mask: Tensor, keep_rows: Tensor | None = None) -> Weights:
        """The weights for `T` of the tasks, classes `[T, K]` with their `mask`; canonical, with a leading axis `T`.

        `keep_rows` is there for the loop that trains all models; class-row dropout means nothing to these.

        Raises:
            InputError: a task has no model here.
        """
        asked = [row[kept].tolist() for row, kept in zip(classes, mask, strict=True)]
        if unknown := [task for task in asked if task not in self.tasks]:
            raise InputError(f"classes: there is no model for the task {unknown[0]}; ask for one of {self.tasks}")
        models = [self.tasks.index(task) for task in asked]
        weights = {canonical_name(name): tensor[models] for name, tensor in self.weights.items()}
        most = classes.shape[1]
        weights["head.weight"] = weights["head.weight"][:, :most]
        weights["head.bias"] = weights["head.bias"][:, :most].masked_fill(~mask, MASKED)
        return weights


def random_inits(spec: TransformerSpec, tasks: Sequence[Sequence[int]], seed: int) -> Weights:
    """Random initial weights for each task, with a leading axis `T`; those of classifiers are small."""
    generator = torch.Generator().manual_seed(seed)
    most = max(map(len, tasks))
    inits = []
    for _ in tasks:
        rows = torch.randn(most, spec.embed_dim, generator=generator) * spec.embed_dim**-0.5
        inits.append({**random_init(spec, generator), "head.weight": rows, "head.bias": torch.zeros(most)})
    return stacked(inits)


def stacked(weights: Sequence[Weights]) -> Weights:
    """Weights of several tasks as one, with a leading axis `T`; classifiers are filled up with zeros."""
    most = max(len(one["head.bias"]) for one in weights)

    def filled(name: str, tensor: Tensor) -> Tensor:
        if not name.startswith("head"):
            return tensor
        missing = most - len(tensor)
        return F.pad(tensor, (0, 0, 0, missing) if tensor.ndim == 2 else (0, missing))

    return {name: torch.stack([filled(name, one[name]) for one in weights]) for name in weights[0]}
