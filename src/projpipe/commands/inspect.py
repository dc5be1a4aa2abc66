"""`projpipe inspect`: what a projector or a model is, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projpipe.metric import METRICS

if TYPE_CHECKING:
    from projpipe.students.size_table import SizeTable
    from projpipe.transformer.spec import TransformerSpec

SHOWN_NAMES = 12


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def inspect(folder: Path, as_json: bool) -> None:
    """Say what FOLDER, a projector or a model, can do, how large it is and what made it."""
    from projpipe.commands.output import show, show_sizes
    from projpipe.manifest import kind_of
    from projpipe.places import located
    from projpipe.projection.write import KIND, TENSORS

    folder = located(folder)
    of_a_projector = kind_of(folder) == KIND or (folder / TENSORS).exists()
    found, table = _projector(folder) if of_a_projector else (_model(folder), None)
    rows = [[name.replace("_", " "), _shown(name, value)] for name, value in found.items()]
    show(found if table is None else {**found, "sizes": table.to_json()}, as_json, [row for row in rows if row[1]])
    if table is not None and not as_json:
        click.echo()
        show_sizes(table)


def _projector(folder: Path) -> tuple[dict[str, Any], SizeTable | None]:
    """What a projector is, and what was measured of its sizes."""
    from projpipe.projection.projector_folder import load_projector

    projector = load_projector(folder)
    source, sizes = projector.operator.source.spec, projector.sizes
    num_classes = len(projector.classes)
    teacher = projector.provenance.get("teacher", {}).get("params") or source.deployed_params(num_classes)
    fewest = projector.objective.fewest_classes

    def described(student: TransformerSpec) -> str:
        params = student.deployed_params(fewest)
        fewer = f"{100 * (1 - params / teacher):.1f} % fewer"
        return f"{student.describe_size()}, {params:,} parameters for {fewest} class{'es' * (fewest > 1)} ({fewer})"

    if sizes is None:
        students = {"students": described(projector.operator.spec)}
    else:
        students = {"smallest_students": described(sizes.smallest), "largest_students": described(sizes.largest)}
    return {
        "kind": "projector",
        "objective": projector.objective.name,
        "dataset": projector.data.get("name"),
        "classes": projector.classes,
        "groups": sorted(set(projector.data.get("groups", [])) - {""}),
        "held_out_classes": projector.data.get("held_out_classes", []),
        "images": source.describe_images(),
        "teacher": f"{source.describe_size()}, {teacher:,} parameters",
        **students,
        **_made_by(projector.provenance, "_of_both" if sizes else ""),
    }, projector.size_table


def _model(folder: Path) -> dict[str, Any]:
    from projpipe.students.student import load_student

    student = load_student(folder)
    spec, num_classes = student.spec, len(student.classes)
    return {
        "kind": "model",
        "objective": student.objective.name,
        "dataset": student.provenance.get("dataset"),
        "classes": list(student.classes),
        "held_out_classes": student.provenance.get("held_out_classes"),
        "images": spec.describe_images(),
        "size": spec.describe_size(),
        "parameters": spec.deployed_params(num_classes),
        "multiply_accumulates_an_image": spec.deployed_macs(num_classes),
        **_made_by(student.provenance),
    }


def _made_by(provenance: dict[str, Any], score_of: str = "") -> dict[str, Any]:
    """Measured quality, and what made a projector or a model; `score_of` says which models' score it is."""
    teacher = provenance.get("teacher", {})
    metric = teacher.get("metric", "accuracy")
    return {
        f"{metric}_of_the_teacher": teacher.get("score"),
        f"{metric}{score_of}_on_validation_tasks": provenance.get("validation_score"),
        f"{metric}_of_the_tuned_teacher": provenance.get("tuned_source"),
        "architecture_of_the_teacher": teacher.get("architecture"),
        "arguments_of_the_teacher": teacher.get("arguments"),
        "licence_of_the_teacher": teacher.get("license"),
        "seed": provenance.get("seed"),
        "dataset_sha256": provenance.get("dataset_sha256"),
        "versions": provenance.get("versions"),
    }


def _shown(name: str, value: Any) -> str:
    """A value as a line of the table; "" for none."""
    from projpipe.commands.task_list import format_names

    if value is None or value in ([], {}):
        return ""
    if metric := next((metric for start, metric in METRICS.items() if name.startswith(start)), None):
        if isinstance(value, dict):
            return ", ".join(f"{split} {metric.value(score)}" for split, score in value.items())
        return metric.value(value)
    if name in ("parameters", "multiply_accumulates_an_image"):
        return f"{value:,}"
    if name == "versions":
        return ", ".join(f"{package} {number}" for package, number in value.items())
    if isinstance(value, list):
        more = f" and {len(value) - SHOWN_NAMES} more" if len(value) > SHOWN_NAMES else ""
        return ", ".join(format_names([name]) for name in value[:SHOWN_NAMES]) + more
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
