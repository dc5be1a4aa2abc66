"""FiLM: gains and shifts after every normalisation, linear in the task embedding (Perez et al., arXiv 1709.07871).

Both are folded into the weights that read what is normalised, so that a student is no larger for them.
"""

from __future__ import annotations

from torch import Tensor, nn

from projpipe.transformer.canonical import Weights
from projpipe.transformer.spec import TransformerSpec

_NORMS = {"q": 0, "k": 0, "v": 0, "fc1": 1}  # which of a block's two normalisations a linear map reads


class Film(nn.Linear):
    """The gains and shifts of a student for each task; zero at the start, where they change nothing.

    Args:
        embed_dim: width of the task embedding.
        student: the shape of the students.
    """

    def __init__(self, embed_dim: int, student: TransformerSpec) -> None:
        self.depth, self.width = student.depth, student.embed_dim
        super().__init__(embed_dim, (2 * self.depth + 1) * 2 * self.width)

    def reset_parameters(self) -> None:
        """To zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def fold(self, weights: Weights, task: Tensor) -> None:
        """Put the gains and shifts of task embeddings `[T, D]` into canonical weights with a leading axis `T` or 1."""
        gain, shift = self(task).view(len(task), 2 * self.depth + 1, 2, self.width).unbind(2)
        for name, norm in _NORMS.items():
            site = slice(norm, 2 * self.depth, 2)
            plain = weights[f"{name}.weight"]
            weights[f"{name}.weight"] = plain * (1 + gain[:, site, None])
            weights[f"{name}.bias"] = weights[f"{name}.bias"] + (plain @ shift[:, site, :, None]).squeeze(-1)
        head = weights["head.weight"]
        weights["head.weight"] = head * (1 + gain[:, -1:])
        weights["head.bias"] = weights["head.bias"] + (head @ shift[:, -1, :, None]).squeeze(-1)
