"""What is wrong with a projector's folder is said in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from projpipe import load_projector
from projpipe.errors import InputError
from projpipe.manifest import MANIFEST, manifest_bytes
from projpipe.projection.write import KIND, TENSORS


@pytest.mark.parametrize("missing", [MANIFEST, TENSORS])
def test_a_folder_that_lacks_a_file_is_no_projector(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    with pytest.raises(InputError, match=rf"projector is no projector: .*{missing}.*kedro run --pipelines train_proj"):
        load_projector(folder)


def test_a_truncated_file_of_tensors_is_named(folder: Path) -> None:
    (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{TENSORS} is truncated or was changed: .*; train it again"):
        load_projector(folder)


@pytest.mark.parametrize("position", [9, -1])
def test_one_changed_byte_is_noticed(position: int, folder: Path) -> None:
    stored = bytearray((folder / TENSORS).read_bytes())
    stored[position] ^= 1
    (folder / TENSORS).write_bytes(stored)
    with pytest.raises(InputError, match=rf"{TENSORS} is truncated or was changed"):
        load_projector(folder)


def change(manifest: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**manifest, **changes}


def without(manifest: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name != key}


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Have the manifest of a folder say something else, with checksums that fit."""
    manifest = json.loads((folder / MANIFEST).read_text())
    described = change({key: value for key, value in manifest.items() if key not in ("format", "kind", "sha256")})
    (folder / MANIFEST).write_bytes(manifest_bytes(KIND, described, {TENSORS: (folder / TENSORS).read_bytes()}))


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no source": (lambda m: without(m, "source"), "source: is missing"),
    "no student": (lambda m: without(m, "student"), "student: is missing"),
    "no conditioning": (lambda m: without(m, "conditioning"), "conditioning: is missing"),
    "no data": (lambda m: without(m, "data"), "data: is missing"),
    "no provenance": (lambda m: without(m, "provenance"), "provenance: is missing"),
    "data without classes": (lambda m: change(m, data=without(m["data"], "classes")), "data.classes: is missing"),
    "too few classes": (lambda m: change(m, data={**m["data"], "classes": ["a", "b"]}), r"is \[10.*\] there and \[2"),
    "data that is a list": (lambda m: change(m, data=[]), r"data: \[\] is not an object"),
    "a source without a size": (
        lambda m: change(m, source=without(m["source"], "image_size")),
        "source.image_size: is missing",
    ),
    "a source without a depth": (lambda m: change(m, source=without(m["source"], "depth")), "source.depth: is missing"),
    "a student of an unknown kind": (
        lambda m: change(m, student={**m["student"], "colour": 1}),
        "student.colour: is not known",
    ),
    "another student": (
        lambda m: change(m, student={**m["student"], "embed_dim": 14, "head_dim": 7}),
        r"factors.embed_write is \[1, 12, 24\] there and \[1, 14, 24\]",
    ),
    "another conditioning": (
        lambda m: change(m, conditioning={**m["conditioning"], "experts": 4}),
        "does not describe",
    ),
    "a term that there is not": (
        lambda m: change(m, conditioning={**m["conditioning"], "rank": 1}),
        "conditioning.rank: is not known",
    ),
    "a conditioning that is a word": (lambda m: change(m, conditioning="on"), 'conditioning: "on" is not an object'),
    "another pool than the source's": (
        lambda m: change(m, student={**m["student"], "pool": "avg"}),
        "student: is no model that reads what the source reads",
    ),
    "a source of other images": (
        lambda m: change(m, **{name: {**m[name], "image_size": [12, 8]} for name in ("source", "student")}),
        r"objective.image_shape: \[1, 8, 8\] is not that of 12 x 8, grey",
    ),
    "patches that do not divide": (
        lambda m: change(m, source={**m["source"], "image_size": [9, 9]}),
        r"source.patch_size: 4 does not divide \[9, 9\]",
    ),
    "a depth to run out of memory by": (
        lambda m: change(m, source={**m["source"], "depth": 10**9}),
        r"source.depth: 1000000000 is not in 1..256",
    ),
    "experts to run out of memory by": (
        lambda m: change(m, conditioning={**m["conditioning"], "experts": 1024}),
        r"is \[3, .*\] there and \[1024, .*\] in the model",
    ),
    "a deviation below zero": (
        lambda m: change(m, objective={**m["objective"], "std": [-0.35]}),
        "objective.std: -0.35 is no deviation",
    ),
    "a deviation of zero": (
        lambda m: change(m, objective={**m["objective"], "std": [0]}),
        "objective.std: .* or one is zero",
    ),
    "an objective that is a list": (lambda m: change(m, objective=[]), r"objective: \[\] is not an object"),
    "an objective without a name": (
        lambda m: change(m, objective=without(m["objective"], "name")),
        "name: 'None' is no objective",
    ),
    "an objective with more than it has": (
        lambda m: change(m, objective={**m["objective"], "colour": 1}),
        "objective.colour: is not known",
    ),
    "a class twice": (
        lambda m: change(m, data={**m["data"], "classes": ["zero"] * 10}),
        "data.classes: 1 names are not 10",
    ),
    "a group too few": (
        lambda m: change(m, data={**m["data"], "groups": ["digits"]}),
        "data.groups: 1 are not one for each of 10 classes",
    ),
    "data that is rotated": (lambda m: change(m, data={**m["data"], "rotated": True}), "data.rotated: is not known"),
    "a teacher of no parameters": (
        lambda m: change(m, provenance={"teacher": {"architecture": "vit", "params": 0}}),
        "provenance.teacher.params: 0 is not in 1..",
    ),
    "a measure that nobody knows": (
        lambda m: change(m, provenance={"teacher": {"architecture": "vit", "metric": "beauty"}}),
        "provenance.teacher.metric: 'beauty' is none of accuracy",
    ),
    "something that no version knows": (lambda m: change(m, tilt=1), "tilt: is not known"),
}


@pytest.mark.parametrize(("damage", "message"), MANIFESTS.values(), ids=MANIFESTS.keys())
def test_a_manifest_that_says_something_else_is_named(
    damage: Callable[[dict[str, Any]], Any], message: str, folder: Path
) -> None:
    rewrite(folder, damage)
    with pytest.raises(InputError, match=rf"projector/{MANIFEST}:? .*{message}.*; train it again .*or fetch it again"):
        load_projector(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.double(), "is F64 and not F32"),
        (lambda tensor: tensor.half(), "is F16 and not F32"),
        (lambda tensor: tensor * torch.nan, "holds a number that is infinite or none"),
        (lambda tensor: tensor[:, :-1], r"is \[2, 11, 24\] there and \[2, 12, 24\] in the model"),
    ],
)
@pytest.mark.parametrize("name", ["operator.factors.attn_read"])
def test_tensors_that_the_manifest_does_not_describe_are_named(
    name: str, change: Callable[[torch.Tensor], torch.Tensor], message: str, folder: Path
) -> None:
    tensors = load_file(folder / TENSORS)
    content = save({**tensors, name: change(tensors[name]).contiguous()})
    (folder / TENSORS).write_bytes(content)
    rewrite(folder, lambda manifest: manifest)
    with pytest.raises(InputError, match=rf"{MANIFEST} does not describe {TENSORS}: {name} {message}; train it again"):
        load_projector(folder)


def test_a_manifest_that_was_changed_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["data"]["classes"].reverse()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=rf"{MANIFEST} was changed: its checksum differs; train it again"):
        load_projector(folder)


def test_a_folder_that_is_not_there_is_said_to_be_missing(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        load_projector(folder / "nowhere")


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:-10])
    with pytest.raises(InputError, match="is no projector: .*; train it again"):
        load_projector(folder)
