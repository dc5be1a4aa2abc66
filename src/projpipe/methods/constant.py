"""The projector that is told the same of every task: the same weights, without a task encoder."""

import torch
from torch import Tensor, nn

from projpipe.methods import projected
from projpipe.methods.method import Ingredients, Method, Style
from projpipe.projection.operator import ProjectionOperator


class ConstantEmbedding(nn.Module):
    """One embedding `[D]` for all tasks."""

    embedding: Tensor

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.register_buffer("embedding", embedding, persistent=False)

    def forward(self, classes: Tensor, mask: Tensor) -> Tensor:
        """`[T, D]` for class ids `[T, K]`."""
        return self.embedding.expand(len(classes), -1)


def build(given: Ingredients) -> ProjectionOperator:
    """The untrained operator, whose experts and FiLM no task changes."""
    operator, terms = projected.build(given), given.config.conditioning
    if operator.encoder is not None:
        operator.encoder = ConstantEmbedding(torch.ones(terms.task_embed_dim))
    if operator.mixture is not None:
        operator.mixture = ConstantEmbedding(torch.full((terms.experts,), terms.experts**-0.5))
    return operator


CONSTANT = Method(
    name="constant",
    style=Style("Projected, constant embedding", "#7f7f7f", "hourglass", "12px,3px"),
    build=build,
    shared=True,
)
