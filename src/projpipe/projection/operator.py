"""The projection operator: the weights of small students, one for each task, from those of one large source.

Idea: Zhmoginov, Lee, Sandler, 'Projectable Models: One-Shot Generation of Small Specialized Transformers from Large
Ones' (arXiv 2506.05641). The parametrisation is projpipe's own; docs/design.md explains it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from projpipe.projection.factors import Conditioning, Factor
from projpipe.projection.initialisation import initial_factors
from projpipe.projection.source import Source, block_groups, merge_blocks
from projpipe.projection.task_encoder import TaskEncoder, reset_linears
from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec


class ProjectionOperator(nn.Module):
    """Map a source's weights to those of its students.

    Args:
        source: the large Transformer; frozen.
        student: the shape of the students.
        conditioning: how the factors depend on the task.
        seed: fixes the random part of the start.
    """

    def __init__(self, source: Source, student: TransformerSpec, conditioning: Conditioning, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        groups = block_groups(source.spec.depth, student.depth)
        self.spec, self.source, self.conditioning = student, source, conditioning
        whole = {name: source.weights[name] for name in ("patch.weight", "patch.bias", "prefix", "pos")}
        rows = {name: source.weights[name] for name in ("head.weight", "head.bias")}
        for name, tensor in {**whole, **rows, **merge_blocks(source.weights, groups)}.items():
            self.register_buffer(_buffer(name), tensor, persistent=False)

        factors, biases = initial_factors(source, student, groups, generator)
        self.factors = nn.ModuleDict(
            {_buffer(name): Factor(start, conditioning, generator) for name, start in factors.items()}
        )
        self.biases = nn.ParameterDict({_buffer(name): nn.Parameter(start) for name, start in biases.items()})
        self.embed_bias = nn.Parameter(torch.zeros(student.embed_dim))
        self.encoder: TaskEncoder | None = None
        if not conditioning.is_static:
            self.encoder = TaskEncoder(source.weights["head.weight"], conditioning.task_embed_dim)
            reset_linears(self.encoder, generator)
            self.coefficients = nn.Linear(
                conditioning.task_embed_dim, sum(factor.num_coefficients for factor in self._factors())
            )
            nn.init.zeros_(self.coefficients.weight)
            nn.init.zeros_(self.coefficients.bias)

    def _factors(self) -> list[Factor]:
        return list(self.factors.values())  # type: ignore[arg-type]

    def _frozen(self, name: str) -> Tensor:
        return self.get_buffer(_buffer(name))

    def forward(self, classes: Tensor, mask: Tensor) -> Weights:
        """Project for `T` tasks.

        Args:
            classes: class ids of each task `[T, K]`, filled up with any id where `mask` `[T, K]` is False.

        Returns:
            Canonical student weights with a leading axis `T`; all but the classifier have 1 there where nothing
            depends on the task.
        """
        if self.encoder is None:
            return self.compose(dict.fromkeys(self.factors), classes)
        coefficients = self.coefficients(self.encoder(classes, mask))
        sizes = [factor.num_coefficients for factor in self._factors()]
        return self.compose(dict(zip(self.factors, coefficients.split(sizes, dim=1), strict=True)), classes)

    def compose(self, coefficients: dict[str, Tensor | None], classes: Tensor) -> Weights:
        """Student weights from the coefficients of every factor (None where it is static)."""
        factor = {name: self.factors[name](value) for name, value in coefficients.items()}
        embed_write, head_read = factor["embed_write"][:, 0], factor["head_read"][:, 0]
        weights = {
            "patch.weight": embed_write @ self._frozen("patch.weight"),
            "patch.bias": embed_write @ self._frozen("patch.bias") + self.embed_bias,
            "prefix": self._frozen("prefix") @ embed_write.mT,
            "pos": self._frozen("pos") @ embed_write.mT,
            "head.weight": self._frozen("head.weight")[classes] @ head_read.mT,
            "head.bias": self._frozen("head.bias")[classes],
        }
        for name, site in (("q", "attn"), ("k", "attn"), ("v", "attn"), ("fc1", "mlp")):
            units = factor[f"{name}_units"]
            seen = self._frozen(f"{name}.weight") @ factor[f"{site}_read"].mT  # source units x student width
            weights[f"{name}.weight"] = units @ seen
            weights[f"{name}.bias"] = self._bias(units, name)
        for name, site in (("out", "attn"), ("fc2", "mlp")):
            write = factor[f"{site}_write"]
            written = write @ self._frozen(f"{name}.weight")  # student width x source units
            weights[f"{name}.weight"] = written @ factor[f"{name}_units"].mT
            weights[f"{name}.bias"] = self._bias(write, name)
        return weights

    def _bias(self, units: Tensor, name: str) -> Tensor:
        projected = (units @ self._frozen(f"{name}.bias")[..., None]).squeeze(-1)
        return projected + self.biases[f"{name}_bias"]


def _buffer(name: str) -> str:
    """Canonical names as attributes of a module, which may hold no dot."""
    return name.replace(".", "_")
