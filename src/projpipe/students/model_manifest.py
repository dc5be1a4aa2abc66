"""What the manifest of a model's folder says: read without torch, which alone takes seconds to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from projpipe.errors import InputError
from projpipe.record import Bounds, from_json

NO_DRAWING = "this model tells classes apart and draws no images; use one of an image_modeling projector"


@dataclass(frozen=True)
class DescribedModel:
    """What a manifest describes; an `object` is what a class elsewhere reads of JSON."""

    spec: object
    classes: Annotated[Sequence[str], Bounds(1, 2**16)]
    objective: object
    provenance: object
    energy_threshold: Annotated[float, Bounds(-1e6, 1e6)] | None = None
    other_row: Annotated[Sequence[Annotated[float, Bounds(-1e6, 1e6)]], Bounds(1, 2**16)] = ()


@dataclass(frozen=True)
class _Symbols:
    """What a manifest says of the symbols that images are drawn of; a classifier has none."""

    symbols: int = 0


def check_draws(manifest: Mapping[str, object], draws: bool, folder: Path) -> None:
    """Refuse a model that draws images, or one that draws none, by the manifest of its folder.

    Raises:
        InputError: it does the other.
    """
    try:
        symbols = from_json(_Symbols, manifest.get("spec")).symbols
    except InputError:
        return  # whoever reads the folder says what is wrong with it
    if symbols and not draws:
        raise InputError(
            f"{folder}: this model draws images and does not tell classes apart; use one of a classification "
            "projector, or `projpipe sample`"
        )
    if draws and not symbols:
        raise InputError(f"{folder}: {NO_DRAWING}")
