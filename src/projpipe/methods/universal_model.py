"""The universal conditional model: one small Transformer for all tasks, told which task it is on.

It knows the task by a task token and by FiLM (`projection.film`). It shares the forward pass and the export of the
projected models, and their size: only the task token is one token more.
Its classifier rows (in a decoder its class embeddings, of which every token gets the mean of the task's) are a learned
map of the class features plus, for classes seen in training, a row of their own; where its initial weights are made of
the source's, the source's own rows besides.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from projpipe.methods.model_init import random_init
from projpipe.projection.film import Film
from projpipe.projection.parameter_groups import ParameterGroup, matrices_decay, nothing_decays
from projpipe.projection.source import Source
from projpipe.projection.task_encoder import TaskEncoder, reset_linears
from projpipe.transformer.canonical import Weights, canonical_name, module_key
from projpipe.transformer.class_weights import class_weights, own_rows
from projpipe.transformer.spec import TransformerSpec


class UniversalModel(nn.Module):
    """A student-sized Transformer with weights of its own, conditioned on the task.

    Args:
        source: gives the class features of the task encoder, and nothing else where the initial weights are random.
        student: its shape.
        task_embed_dim: width of the task embedding.
        seed: fixes the initial weights.
        init: initial weights made of the source's, with what belongs to all of its classes; random if None.
    """

    selected_rows: Tensor
    selected_bias: Tensor

    def __init__(
        self, source: Source, student: TransformerSpec, task_embed_dim: int, seed: int, init: Weights | None = None
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.spec = student
        width = student.embed_dim
        weights = random_init(student, generator) if init is None else dict(init)
        self.classes = class_weights(student)
        shapes = self.classes.own_shapes(source.num_classes, width)
        # Rows made of the source's hold for every class, new ones too; learned rows are zero at first.
        given = {name: weights.pop(name, torch.zeros(shape)) for name, shape in shapes.items()}
        self.register_buffer("selected_rows", given[self.classes.table])
        self.register_buffer("selected_bias", given.get("head.bias", torch.zeros(source.num_classes)))
        self.weights = nn.ParameterDict({module_key(name): nn.Parameter(tensor) for name, tensor in weights.items()})

        self.encoder = TaskEncoder(source.class_table, task_embed_dim)
        self.class_rows = nn.Linear(source.spec.embed_dim, width)
        self.task_token = nn.Linear(task_embed_dim, width)
        reset_linears(self, generator)
        if init is not None:
            nn.init.zeros_(self.class_rows.weight)
            nn.init.zeros_(self.class_rows.bias)
        self.own = nn.ParameterDict({module_key(name): nn.Parameter(torch.zeros(shapes[name])) for name in shapes})
        self.film = Film(task_embed_dim, student)

    def parameter_groups(self) -> list[ParameterGroup]:
        """All matrices decay, but for those of the task encoder."""
        of_encoder = [f"encoder.{name}" for name, _ in self.encoder.named_parameters()]
        others = [(name, parameter) for name, parameter in self.named_parameters() if name not in of_encoder]
        return nothing_decays(self.encoder.parameters()) + matrices_decay(others)

    def forward(self, classes: Tensor, mask: Tensor, keep_rows: Tensor | None = None) -> Weights:
        """The weights for `T` tasks of classes `[T, K]`, `mask` `[T, K]`; canonical, with a leading axis `T`.

        `keep_rows` `[T, K]` is class-row dropout: False where what was learned for a class is left out; None keeps all.
        """
        task = self.encoder(classes, mask)
        weights = {
            canonical_name(name): tensor[None].expand(len(task), *tensor.shape) for name, tensor in self.weights.items()
        }
        weights["prefix"] = torch.cat([weights["prefix"], self.task_token(task)[:, None]], dim=1)
        mapped = self.class_rows(self.encoder.features[classes]) / self.spec.embed_dim**0.5
        own = {canonical_name(key): own_rows(table, classes, keep_rows) for key, table in self.own.items()}
        self.classes.insert(weights, self.selected_rows[classes] + mapped, own, self.selected_bias[classes], mask)
        self.film.fold(weights, task)
        return weights
