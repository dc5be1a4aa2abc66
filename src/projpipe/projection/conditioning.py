"""What of a student depends on its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from projpipe.record import Bounds


@dataclass(frozen=True)
class Conditioning:
    """Which terms depend on the task; with none of them the projection is static.

    `experts` are added to the projected weights, see `projection.experts`; `film` is folded into them, see
    `projection.film`, and is linear in a task embedding of width `task_embed_dim`.
    """

    experts: Annotated[int, Bounds(0, 2**10)]
    film: bool
    task_embed_dim: Annotated[int, Bounds(1, 2**16)]

    @classmethod
    def none(cls) -> Conditioning:
        """That of the static projection."""
        return cls(experts=0, film=False, task_embed_dim=1)

    @property
    def is_static(self) -> bool:
        return not (self.experts or self.film)
