"""Writing a projector's folder: as it is trained, or compact, to be shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.manifest import CARD, MANIFEST, TENSORS, manifest_bytes
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.shapes import projector_shapes
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.students.size_table import SizeTable
from projpipe.tensors import check_finite, prefixed

KIND = "projector"
COMPACT, COMPACT_NAME = torch.float16, "F16"  # type of a compact folder's numbers, and safetensors' name of it


def write_projector(
    folder: Path,
    operator: ProjectionOperator,
    of_sizes: SizeOffsets | None,
    size_table: SizeTable | None,
    said: Mapping[str, object],
    compact: bool,
    card: str | None,
) -> None:
    """Write a projector's folder, whole or not at all.

    Args:
        said: `objective`, `data` and `provenance`, as JSON values.
        compact: in float16, without what training alone takes.
        card: the model card, for README.md; None for none.

    Raises:
        InputError: a weight is too large for float16.
    """
    tensors = _tensors(operator, of_sizes)
    content = save(_rounded(tensors, operator, of_sizes) if compact else tensors)
    described = {
        "source": operator.source.spec.to_json(),
        "student": operator.spec.to_json(),
        "conditioning": asdict(operator.conditioning),
        "free_weights": operator.free_weights,
        "class_map": operator.class_map is not None,
        **({} if of_sizes is None else {"smallest": of_sizes.sizes.smallest.to_json()}),
        **({"compact": True} if compact else {}),
        **said,
    }
    files = {TENSORS: content} if card is None else {TENSORS: content, CARD: card.encode()}
    files[MANIFEST] = manifest_bytes(KIND, described, files)
    with write_atomically(folder) as temporary:
        temporary.mkdir()
        for name, written in files.items():
            (temporary / name).write_bytes(written)
        if size_table is not None:  # of the same weights, which a compact folder rounds
            replace(size_table, weights_sha256=sha256(content).hexdigest()).save(temporary)


def _tensors(operator: ProjectionOperator, of_sizes: SizeOffsets | None) -> dict[str, Tensor]:
    """All that a projector is made of, by the names of `projector_shapes`."""
    # A tuned source is the source of the folder: there it is frozen.
    state = {name: tensor for name, tensor in operator.state_dict().items() if "tuned_weights" not in name}
    tensors = {
        **prefixed("source.", operator.source_weights()),
        **prefixed("statistics.", operator.source.statistics),
        **prefixed("operator.", state),
        **prefixed("projected.", operator.precompute()),
        **({} if of_sizes is None else prefixed("sizes.", of_sizes.offsets.state_dict())),
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _rounded(
    tensors: Mapping[str, Tensor], operator: ProjectionOperator, of_sizes: SizeOffsets | None
) -> dict[str, Tensor]:
    """Those that a compact folder holds, as it holds them."""
    names = projector_shapes(
        operator.source.spec,
        operator.spec,
        operator.conditioning,
        operator.source.num_classes,
        operator.free_weights,
        operator.class_map is not None,
        None if of_sizes is None else of_sizes.sizes,
        compact=True,
    )
    rounded = {name: tensor.to(COMPACT) for name, tensor in tensors.items() if name in names}
    check_finite(rounded)
    return rounded
