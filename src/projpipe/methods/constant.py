"""The projector that is told the same of every task: the same factors and coefficients, without a task encoder."""

import torch
from torch import Tensor, nn

from projpipe.methods import projected
from projpipe.methods.method import Ingredients, Method, Style
from projpipe.projection.operator import ProjectionOperator


class ConstantEmbedding(nn.Module):
    """One embedding for all tasks, of the length that a task encoder's have."""

    embedding: Tensor

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.register_buffer("embedding", torch.ones(embed_dim), persistent=False)

    def forward(self, classes: Tensor, mask: Tensor) -> Tensor:
        """`[T, embed_dim]` for class ids `[T, K]`."""
        return self.embedding.expand(len(classes), -1)


def build(given: Ingredients) -> ProjectionOperator:
    """The untrained operator, whose coefficients no task changes."""
    operator = projected.build(given)
    operator.encoder = ConstantEmbedding(given.config.conditioning.task_embed_dim)
    return operator


CONSTANT = Method(
    name="constant",
    style=Style("Projected, constant embedding", "#7f7f7f", "hourglass", "12px,3px"),
    build=build,
    shared=True,
)
