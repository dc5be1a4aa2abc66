"""`projpipe inspect`: what a projector or a model is, and where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projpipe.commands.arguments import Folder, as_json
from projpipe.errors import InputError
from projpipe.manifest import FIXES, MANIFEST, REQUIRED, read_manifest
from projpipe.metric import METRICS
from projpipe.places import kind_at
from projpipe.projection.projector_manifest import DescribedProjector, weights_sha256
from projpipe.projection.size_choice import read_size_choice
from projpipe.record import from_json
from projpipe.students.model_card import check_provenance
from projpipe.students.model_manifest import DescribedModel
from projpipe.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from projpipe.transformer.sizes import Sizes

SHOWN_NAMES = 12


@click.command(short_help="Say what a projector or a model can do.")
@click.argument("folder", type=Folder())
@as_json
def inspect(folder: Path, as_json: bool) -> None:
    """Say what FOLDER, a projector or a model, can do, how large it is and what made it.

    \b
    projpipe inspect model --json
    """
    from projpipe.commands.output import show, show_sizes

    kind = kind_at(folder)
    described, table = read_manifest(folder, kind, REQUIRED[kind], FIXES[kind]), None
    sizes: tuple[TransformerSpec, Sizes | None] | None = None
    try:
        if kind == "projector":
            projector = from_json(DescribedProjector, described, exact=True)
            found, sizes = _projector(projector, described["provenance"]), projector.sizes
        else:
            found = _model(described)
    except InputError as error:
        raise InputError(f"{folder / MANIFEST}: {error}; {FIXES[kind]}") from error
    if sizes is not None:
        table = read_size_choice(folder, *sizes, len(found["classes"]), weights_sha256(folder)).table
    rows = [[name.replace("_", " "), _shown(name, value)] for name, value in found.items()]
    show(found if table is None else {**found, "sizes": table.to_json()}, as_json, [row for row in rows if row[1]])
    if table is not None and not as_json:
        click.echo()
        show_sizes(table)


@dataclass(frozen=True)
class _Objective:
    """What a manifest says of an objective that is shown."""

    name: str


def _projector(projector: DescribedProjector, provenance: dict[str, Any]) -> dict[str, Any]:
    """What a projector is, by its manifest."""
    check_provenance(provenance, "provenance")
    data = projector.data
    source, largest = (TransformerSpec.from_json(getattr(projector, name), name) for name in ("source", "student"))
    teacher = provenance.get("teacher", {}).get("params") or source.deployed_params(len(data.classes))
    fewest = projector.fewest_classes

    def of_size(student: TransformerSpec) -> str:
        params = student.deployed_params(fewest)
        fewer = f"{100 * (1 - params / teacher):.1f} % fewer"
        return f"{student.describe_size()}, {params:,} parameters for {fewest} class{'es' * (fewest > 1)} ({fewer})"

    if projector.smallest is None:
        students = {"students": of_size(largest)}
    else:
        smallest = TransformerSpec.from_json(projector.smallest, "smallest")
        students = {"smallest_students": of_size(smallest), "largest_students": of_size(largest)}
    return {
        "kind": "projector",
        "objective": from_json(_Objective, projector.objective, "objective").name,
        "dataset": data.name,
        "classes": data.classes,
        "groups": sorted({*data.groups} - {""}),
        "held_out_classes": data.held_out_classes,
        "images": source.describe_images(),
        "teacher": f"{source.describe_size()}, {teacher:,} parameters",
        **students,
        **_made_by(provenance, elastic=projector.smallest is not None),
    }


def _model(described: dict[str, Any]) -> dict[str, Any]:
    """What a model is, by its manifest."""
    model = from_json(DescribedModel, described, exact=True)
    check_provenance(model.provenance, "provenance")
    provenance = described["provenance"]
    spec, num_classes = TransformerSpec.from_json(model.spec, "spec"), len(model.classes)
    return {
        "kind": "model",
        "objective": from_json(_Objective, model.objective, "objective").name,
        "dataset": provenance.get("dataset"),
        "classes": model.classes,
        "held_out_classes": provenance.get("held_out_classes"),
        "images": spec.describe_images(),
        "size": spec.describe_size(),
        "parameters": spec.deployed_params(num_classes),
        "multiply_accumulates_an_image": spec.deployed_macs(num_classes),
        "accuracy_on_images_held_out_of_fine_tuning": provenance.get("fine_tuned", {}).get("accuracy"),
        **_made_by(provenance),
    }


def _made_by(provenance: dict[str, Any], elastic: bool = False) -> dict[str, Any]:
    """Measured quality, and what made a projector or a model; that of many sizes is the mean of two of them."""
    teacher = provenance.get("teacher", {})
    metric = teacher.get("metric", "accuracy")
    score = f"mean_{metric}_of_smallest_and_largest" if elastic else metric
    return {
        f"{metric}_of_the_teacher": teacher.get("score"),
        f"{score}_on_validation_tasks": provenance.get("validation_score"),
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
    if metric := next((metric for part, metric in METRICS.items() if part in name), None):
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
