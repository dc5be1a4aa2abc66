"""What the manifest of a model's folder says: read without torch, which alone takes seconds to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from projpipe.record import Bounds


@dataclass(frozen=True)
class DescribedModel:
    """What a manifest describes; an `object` is what a class elsewhere reads of JSON."""

    spec: object
    classes: Annotated[Sequence[str], Bounds(1, 2**16)]
    objective: object
    provenance: object
    energy_threshold: Annotated[float, Bounds(-1e6, 1e6)] | None = None
