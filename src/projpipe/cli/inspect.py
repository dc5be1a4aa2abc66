"""`projpipe inspect`: what a projector or a model is, and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

SHOWN_NAMES = 12


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
def inspect(folder: Path, as_json: bool) -> None:
    """Say what FOLDER, a projector or a model, can do, how large it is and what made it."""
    from projpipe.cli.output import show
    from projpipe.projection.projector_folder import TENSORS

    found = _projector(folder) if (folder / TENSORS).exists() else _model(folder)
    show(
        found,
        as_json,
        [[name.replace("_", " "), _shown(value)] for name, value in found.items() if value not in (None, [], {})],
    )


def _projector(folder: Path) -> dict[str, Any]:
    from projpipe.projection.projector_folder import load_projector

    projector = load_projector(folder)
    source, student = projector.operator.source.spec, projector.operator.spec
    num_classes = len(projector.classes)
    teacher = source.deployed_params(num_classes)
    two = student.deployed_params(2)
    return {
        "kind": "projector",
        "dataset": projector.data.get("name"),
        "classes": projector.classes,
        "groups": sorted(set(projector.data.get("groups", [])) - {""}),
        "held_out_classes": projector.data.get("held_out_classes", []),
        "images": _images(source),
        "teacher": f"{_size(source)}, {teacher:,} parameters",
        "students": f"{_size(student)}, {two:,} parameters for two classes ({100 * (1 - two / teacher):.1f} % fewer)",
        **_made_by(projector.provenance),
    }


def _model(folder: Path) -> dict[str, Any]:
    from projpipe.transformer.student import load_student

    student = load_student(folder)
    spec, num_classes = student.spec, len(student.classes)
    held_out = student.provenance.get("held_out_classes", [])
    return {
        "kind": "model",
        "dataset": student.provenance.get("dataset"),
        "classes": list(student.classes),
        "held_out_classes": [name for name in student.classes if name in held_out],
        "images": _images(spec),
        "size": _size(spec),
        "parameters": spec.deployed_params(num_classes),
        "multiply_accumulates_an_image": spec.deployed_macs(num_classes),
        **_made_by(student.provenance),
    }


def _made_by(provenance: dict[str, Any]) -> dict[str, Any]:
    """Measured quality, and what made a projector or a model."""
    teacher = provenance.get("teacher", {})
    return {
        "accuracy_of_the_teacher": teacher.get("accuracy"),
        "accuracy_on_validation_tasks": provenance.get("validation_accuracy"),
        "architecture_of_the_teacher": teacher.get("architecture"),
        "arguments_of_the_teacher": teacher.get("arguments"),
        "licence_of_the_teacher": teacher.get("license"),
        "seed": provenance.get("seed"),
        "dataset_sha256": provenance.get("dataset_sha256"),
        "versions": provenance.get("versions"),
    }


def _images(spec: Any) -> str:
    height, width = spec.image_size
    return f"{height} x {width}, {'grey' if spec.in_chans == 1 else f'{spec.in_chans} channels'}"


def _size(spec: Any) -> str:
    return f"{spec.depth} blocks x {spec.embed_dim}, {spec.num_heads} heads, {spec.mlp_dim} hidden units"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        more = f" and {len(value) - SHOWN_NAMES} more" if len(value) > SHOWN_NAMES else ""
        return ", ".join(map(_shown, value[:SHOWN_NAMES])) + more
    if isinstance(value, float):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else str(value)
