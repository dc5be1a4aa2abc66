"""Writing a projector's folder: as it is trained, or compact, to be shipped."""

from __future__ import annotations

from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save
from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.manifest import CARD, MANIFEST, manifest_bytes
from projpipe.projection.shapes import projector_shapes
from projpipe.tensors import check_finite, prefixed

if TYPE_CHECKING:
    from projpipe.projection.projector import Projector

KIND, TENSORS = "projector", "projector.safetensors"
COMPACT, COMPACT_NAME = torch.float16, "F16"  # type of a compact folder's numbers, and safetensors' name of it


def write_projector(projector: Projector, folder: Path, compact: bool = False, card: str | None = None) -> None:
    """Write a projector's folder, whole or not at all, with its size table if it has one.

    Args:
        compact: in float16, without what training alone takes. It makes the same students but for the rounding of
            weights, about one part in 4,000.
        card: the model card, for README.md; None for none.

    Raises:
        InputError: a weight is too large for float16.
    """
    content = save(_compact(projector) if compact else _tensors(projector))
    described = {
        "source": projector.operator.source.spec.to_json(),
        "student": projector.operator.spec.to_json(),
        "conditioning": asdict(projector.operator.conditioning),
        "free_weights": projector.operator.free_weights,
        "class_map": projector.operator.class_map is not None,
        **({} if projector.sizes is None else {"smallest": projector.sizes.smallest.to_json()}),
        **({"compact": True} if compact else {}),
        "objective": projector.objective.to_json(),
        "data": projector.data,
        "provenance": projector.provenance,
    }
    files = {TENSORS: content} if card is None else {TENSORS: content, CARD: card.encode()}
    files[MANIFEST] = manifest_bytes(KIND, described, files)
    with write_atomically(folder) as temporary:
        temporary.mkdir()
        for name, written in files.items():
            (temporary / name).write_bytes(written)
        if projector.size_table is not None:  # of the same weights; their products may differ in the last digits
            replace(projector.size_table, weights_sha256=sha256(content).hexdigest()).save(temporary)


def _tensors(projector: Projector) -> dict[str, Tensor]:
    """All that a projector is made of, by the names of `projector_shapes`."""
    operator = projector.operator
    # A tuned source is the source of the folder: there it is frozen.
    state = {name: tensor for name, tensor in operator.state_dict().items() if "tuned_weights" not in name}
    of_sizes = {} if projector.of_sizes is None else projector.of_sizes.offsets.state_dict()
    tensors = {
        **prefixed("source.", operator.source_weights()),
        **prefixed("statistics.", operator.source.statistics),
        **prefixed("operator.", state),
        **prefixed("products.", operator.precompute().to_tensors()),
        **prefixed("sizes.", of_sizes),
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _compact(projector: Projector) -> dict[str, Tensor]:
    """Those that a compact folder holds, rounded."""
    operator = projector.operator
    names = projector_shapes(
        operator.source.spec,
        operator.spec,
        operator.conditioning,
        len(projector.classes),
        operator.free_weights,
        operator.class_map is not None,
        projector.sizes,
        compact=True,
    )
    rounded = {name: tensor.to(COMPACT) for name, tensor in _tensors(projector).items() if name in names}
    check_finite(rounded)
    return rounded
