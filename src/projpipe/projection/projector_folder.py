"""A projector's folder, read back: all that it says is checked as if it came from a stranger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from projpipe.errors import InputError
from projpipe.manifest import FIXES, MANIFEST, REQUIRED, SIZES, TENSORS, read_manifest
from projpipe.objectives import Classification, ImageModeling, Objective, objective_from_json
from projpipe.places import located
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.projector_manifest import DescribedData, DescribedProjector, weights_sha256
from projpipe.projection.shapes import projector_shapes, statistics_shapes
from projpipe.projection.size_choice import read_size_choice
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.projection.write import COMPACT_NAME, KIND
from projpipe.record import from_json
from projpipe.students.model_card import check_provenance
from projpipe.students.size_table import REMAKE, SizeTable
from projpipe.tensors import load_weights, read_tensors, starting_with
from projpipe.transformer.spec import TransformerSpec


def load_projector(folder: Path | str) -> Projector:
    """Read a projector's folder.

    Needs neither training data nor the packages that train.

    Args:
        folder: its path, the name of a projector that comes with projpipe, or `hf-hub:owner/name[@revision]`.

    Raises:
        InputError: the folder is no projector, or a file of it is missing, truncated or changed, or does not fit the
            other one; or the hub does not give it.
    """
    folder = located(folder)
    manifest = read_manifest(folder, KIND, REQUIRED[KIND], FIXES[KIND])
    try:
        projector = _assemble(manifest, folder / TENSORS)
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / MANIFEST} does not describe {TENSORS}: {reason}; {FIXES[KIND]}") from error
    projector = replace(projector, weights_sha256=weights_sha256(folder))
    return replace(projector, size_table=_size_table(folder, projector))


def _size_table(folder: Path, projector: Projector) -> SizeTable | None:
    """The size table in a projector's folder, if there is one and it is the projector's."""
    largest, classes, metric = projector.operator.spec, projector.classes, projector.objective.metric
    table = read_size_choice(folder, largest, projector.sizes, len(classes), projector.weights_sha256).table
    if table is not None and table.metric != metric.name:
        raise InputError(f"{folder / SIZES}: metric: {table.metric} is not {metric.name}; {REMAKE}")
    return table


def _check_data(data: DescribedData, objective: Objective) -> None:
    """Refuse data that contradict themselves, or the objective."""
    if len(set(data.classes)) != len(data.classes):
        raise InputError(f"data.classes: {len(set(data.classes))} names are not {len(data.classes)}")
    if data.groups and len(data.groups) != len(data.classes):
        raise InputError(f"data.groups: {len(data.groups)} are not one for each of {len(data.classes)} classes")
    if isinstance(objective, ImageModeling) and objective.swapped != data.inverted:
        raise InputError(f"data.inverted: {json.dumps(data.inverted)} is not what the objective says")
    if isinstance(objective, Classification) and min(objective.std) < 0:
        raise InputError(f"objective.std: {min(objective.std)} is no deviation")


def _assemble(described: dict[str, Any], path: Path) -> Projector:
    """The projector that a manifest describes; all that it says is checked before tensors are read."""
    manifest = from_json(DescribedProjector, described, exact=True)
    conditioning = from_json(Conditioning, manifest.conditioning, "conditioning", exact=True)
    check_provenance(manifest.provenance, "provenance")
    source, (student, sizes) = TransformerSpec.from_json(manifest.source, "source"), manifest.sizes
    if student != source.student(student.embed_dim, student.depth, student.num_heads, student.mlp_ratio):
        raise InputError("student: is no model that reads what the source reads")
    objective = objective_from_json(manifest.objective, "objective")
    objective.check_spec(source)
    _check_data(manifest.data, objective)
    shapes = projector_shapes(
        source,
        student,
        conditioning,
        len(manifest.data.classes),
        manifest.free_weights,
        manifest.class_map,
        sizes,
        manifest.compact,
    )
    tensors = read_tensors(path, shapes, COMPACT_NAME if manifest.compact else "F32")
    of_sizes = None
    if sizes is not None:
        of_sizes = SizeOffsets(sizes)
        load_weights(of_sizes.offsets, starting_with("sizes.", tensors))
    operator = _restore(source, student, conditioning, manifest, tensors).eval()
    return Projector(operator, objective, described["data"], described["provenance"], of_sizes)


def _restore(
    source: TransformerSpec,
    student: TransformerSpec,
    conditioning: Conditioning,
    manifest: DescribedProjector,
    tensors: dict[str, torch.Tensor],
) -> ProjectionOperator:
    """The operator of the tensors of a folder."""
    weights, statistics = starting_with("source.", tensors), starting_with("statistics.", tensors)
    if manifest.compact:
        statistics = {name: torch.zeros(shape) for name, shape in statistics_shapes(source)}
    with torch.random.fork_rng():  # the initial weights are replaced: nobody should notice the draw, or wait for a PCA
        operator = ProjectionOperator(
            Source(source, weights, statistics),
            student,
            conditioning,
            0,
            "uniform",
            free_weights=manifest.free_weights,
            class_map=manifest.class_map,
        )
    if manifest.compact:
        operator.drop_factors()
    load_weights(operator, starting_with("operator.", tensors))
    operator.projected = starting_with("projected.", tensors)
    return operator
