"""A projector's folder makes the students it was trained to make, or says what is wrong with it."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save
from timm.models.vision_transformer import VisionTransformer

from projpipe import load_projector
from projpipe.errors import InputError
from projpipe.manifest import MANIFEST, manifest_bytes
from projpipe.objectives import Classification
from projpipe.projection.factors import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector_folder import KIND, TENSORS, Projector
from projpipe.projection.source import Source
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.forward import forward_students

CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CONDITIONINGS = {
    "projected": Conditioning(templates=2, rank=2, gates=True, units=True, task_embed_dim=8),
    "experts and FiLM": Conditioning(
        templates=0, rank=0, gates=False, units=False, task_embed_dim=8, experts=3, film=True
    ),
    "static": Conditioning(templates=0, rank=0, gates=False, units=False, task_embed_dim=8),
}


def make_projector(
    source: Source,
    conditioning: Conditioning = CONDITIONINGS["projected"],
    tuned: bool = False,
    class_map: bool = False,
) -> Projector:
    """A projector with every parameter off its init, so that each term of the conditioning is at work."""
    student = source.spec.student(12, 2, 2, 1.5)
    operator = ProjectionOperator(source, student, conditioning, 0, tuned=tuned, class_map=class_map)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    objective = Classification([0.3], [0.35], (1, 8, 8))
    return Projector(operator.eval(), objective, {"classes": CLASSES}, {"seed": 0})


@pytest.fixture(scope="module")
def projector(source: Source) -> Projector:
    return make_projector(source)


@pytest.fixture
def folder(projector: Projector, tmp_path: Path) -> Path:
    projector.save(tmp_path / "projector")
    return tmp_path / "projector"


@pytest.mark.parametrize("conditioning", CONDITIONINGS.values(), ids=CONDITIONINGS.keys())
def test_a_saved_projector_makes_the_same_students_bit_for_bit(
    conditioning: Conditioning, source: Source, images: torch.Tensor, tmp_path: Path
) -> None:
    projector = make_projector(source, conditioning, class_map=conditioning.film)
    projector.save(tmp_path / "projector")
    loaded = load_projector(tmp_path / "projector")
    assert (loaded.data, loaded.provenance) == (projector.data, projector.provenance)
    assert loaded.objective == projector.objective
    student, again = projector.generate(["two", "nine"]), loaded.generate(["two", "nine"])
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in student.state_dict().items())
    assert torch.equal(student(images), again(images))


def test_a_projector_with_a_tuned_source_keeps_the_source_as_it_was_tuned(
    source: Source, images: torch.Tensor, tmp_path: Path
) -> None:
    projector = make_projector(source, tuned=True, class_map=True)
    projector.save(tmp_path / "projector")
    loaded = load_projector(tmp_path / "projector")
    assert not torch.equal(loaded.operator.source.weights["fc1.weight"], source.weights["fc1.weight"])
    found, expected = (which.generate(["two", "nine"])(images) for which in (loaded, projector))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_generation_is_deterministic_whatever_torchs_own_seed(projector: Projector, images: torch.Tensor) -> None:
    torch.manual_seed(0)
    first = projector.generate(["two", "nine", "four"])
    torch.manual_seed(1)
    assert torch.equal(first(images), projector.generate(["two", "nine", "four"])(images))


def test_logits_are_in_the_order_of_the_classes_asked_for(projector: Projector, images: torch.Tensor) -> None:
    asked, order = ["two", "nine", "four", "zero"], [3, 1, 0, 2]
    logits = projector.generate(asked)(images)
    permuted = projector.generate([asked[i] for i in order])(images)
    torch.testing.assert_close(permuted, logits[:, order], atol=1e-5, rtol=0)
    assert (permuted - logits).abs().max() > 1e-2


def test_a_student_is_a_stock_timm_model_that_says_what_it_reads_and_tells_apart(projector: Projector) -> None:
    student = projector.generate(("nine", "two"))
    assert type(student) is timm.models.VisionTransformer
    assert not student.training
    assert (student.embed_dim, len(student.blocks), student.num_classes) == (12, 2, 2)
    assert student.pretrained_cfg["label_names"] == ["nine", "two"]
    assert (student.pretrained_cfg["mean"], student.pretrained_cfg["std"]) == ((0.3,), (0.35,))


def test_a_generated_student_computes_what_training_computed(projector: Projector, images: torch.Tensor) -> None:
    tasks = [["two", "nine", "four"], ["zero", "nine"]]
    classes, mask = torch.tensor([[2, 9, 4], [0, 9, 0]]), torch.tensor([[True] * 3, [True, True, False]])
    with torch.no_grad():
        weights = projector.operator(classes, mask)
        together = forward_students(projector.operator.spec, weights, images.view(2, 16, 1, 8, 8))
        for task, logits, own in zip(tasks, together, images.view(2, 16, 1, 8, 8), strict=True):
            torch.testing.assert_close(projector.generate(task)(own), logits[:, : len(task)], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["two", "nein"], "classes: 'nein' is not a class of this projector; did you mean 'nine'"),
        (["two", "q"], "classes: 'q' is not a class of this projector; known: zero, one, two, .*nine"),
        (["two", 3], "classes: 3 is not a class"),
        (["two", "nine", "two"], "classes: 'two' stands there twice; name it once"),
        (["two"], r"classes: \['two'\] must be two or more"),
        ([], r"classes: \[\] must be two or more"),
        ("two", r"classes: 'two' is one name; give a list such as \['zero', 'one'\]"),
    ],
)
def test_classes_that_make_no_task_are_refused(classes: Any, message: str, projector: Projector) -> None:
    with pytest.raises(InputError, match=message):
        projector.generate(classes)


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
        r"factors.embed_write.base is \[1, 12, 24\] there and \[1, 14, 24\]",
    ),
    "another conditioning": (lambda m: change(m, conditioning={**m["conditioning"], "rank": 1}), "does not describe"),
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
    "templates to run out of memory by": (
        lambda m: change(m, conditioning={**m["conditioning"], "templates": 1024}),
        r"templates is \[.*\] there and \[.*1024, .*\] in the model",
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
    manifest = json.loads((folder / MANIFEST).read_text())
    described = damage({key: value for key, value in manifest.items() if key not in ("format", "kind", "sha256")})
    (folder / MANIFEST).write_bytes(manifest_bytes(KIND, described, {TENSORS: (folder / TENSORS).read_bytes()}))
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
@pytest.mark.parametrize("name", ["operator.factors.attn_read.base"])
def test_tensors_that_the_manifest_does_not_describe_are_named(
    name: str, change: Callable[[torch.Tensor], torch.Tensor], message: str, folder: Path
) -> None:
    tensors = load_file(folder / TENSORS)
    content = save({**tensors, name: change(tensors[name]).contiguous()})
    (folder / TENSORS).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    described = {key: value for key, value in manifest.items() if key not in ("format", "kind", "sha256")}
    (folder / MANIFEST).write_bytes(manifest_bytes(KIND, described, {TENSORS: content}))
    with pytest.raises(InputError, match=rf"{MANIFEST} does not describe {TENSORS}: {name} {message}; train it again"):
        load_projector(folder)


@pytest.mark.parametrize("gates", [True, False])
def test_what_no_task_changes_is_multiplied_once_and_kept_in_the_folder(
    gates: bool, source: Source, tmp_path: Path
) -> None:
    terms = Conditioning(templates=2, rank=0, gates=gates, units=False, task_embed_dim=8)
    make_projector(source, terms).save(tmp_path / "projector")
    operator = load_projector(tmp_path / "projector").operator
    kept = operator.products.to_tensors()
    operator.precompute()
    assert kept.keys() == operator.products.to_tensors().keys() > {"q" if gates else "q.weight"}
    for name, tensor in operator.products.to_tensors().items():
        torch.testing.assert_close(kept[name], tensor, msg=name)


def test_names_are_known_however_their_letters_are_composed(folder: Path) -> None:
    projector = load_projector(folder)
    projector.data["classes"][0] = normalize("NFD", "Größe")
    assert projector.class_ids([normalize("NFC", "Größe"), projector.classes[1]]) == [0, 1]


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


def test_a_save_that_fails_half_way_leaves_the_old_folder(projector: Projector, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    unwritable = replace(projector, provenance={"note": "\ud800"})  # half a character, which no encoding knows
    with pytest.raises(UnicodeEncodeError):
        unwritable.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["projector"]
    load_projector(folder)


def test_loading_and_generating_draw_no_number_from_torchs_own_generator(folder: Path) -> None:
    before = torch.random.get_rng_state()
    load_projector(folder).generate(["two", "nine"])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("conditioning", CONDITIONINGS.values(), ids=CONDITIONINGS.keys())
def test_a_student_that_is_trained_further_leaves_the_projector_and_its_sisters_alone(
    conditioning: Conditioning, source: Source, images: torch.Tensor
) -> None:
    projector = make_projector(source, conditioning)
    student, sister = projector.generate(["two", "nine"]), projector.generate(["two", "five"])
    before = {name: tensor.clone() for name, tensor in sister.state_dict().items()}
    assert all(parameter.requires_grad for parameter in student.parameters())
    student(images).square().sum().backward()
    torch.optim.SGD(student.parameters(), lr=1.0).step()
    again = projector.generate(["two", "five"]).state_dict()
    for name, tensor in sister.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert torch.equal(again[name], before[name])


@pytest.mark.parametrize("inverted", [False, True])
def test_support_images_stand_for_the_classes_that_the_source_sees_in_them(
    inverted: bool, source: Source, teacher: VisionTransformer
) -> None:
    own = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)  # as the projector's own images are
    pictures = 255 - own if inverted else own
    images = Classification([0.3], [0.35], (1, 8, 8)).encode(own)
    varied = copy.deepcopy(teacher)  # a teacher whose answers differ from image to image
    with torch.no_grad():
        varied.head.bias -= varied(images).mean(0)
        varied.head.weight *= 5
        varied.head.bias *= 5
        seen = varied(images).argmax(-1).tolist()
    projector = make_projector(Source(source.spec, canonical_weights(varied), source.statistics))
    projector = replace(projector, data={**projector.data, "inverted": inverted})
    expected = [name for class_id, name in enumerate(CLASSES) if class_id in seen[:4]]
    assert 2 <= len(expected) < len(CLASSES)
    assert projector.recognise(pictures[:4]) == expected
    found, named = projector.generate(support_images=pictures[:4]), projector.generate(expected)
    assert torch.equal(found(images), named(images))

    mistaken = next(at for at, class_id in enumerate(seen) if class_id not in seen[:4])
    assert projector.recognise(pictures[[0, 1, 2, 3, mistaken]]) != expected
    assert projector.recognise(pictures[[0, 1, 2, 3] * 25 + [mistaken]]) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either classes or support_images"),
        ({"classes": ["two", "nine"], "support_images": np.zeros((2, 8, 8, 1), np.uint8)}, "give either"),
        (
            {"support_images": np.zeros((2, 8, 8, 3), np.uint8)},
            r"uint8 \[2, 8, 8, 3\] is not uint8 \[N, 8, 8, 1\]",
        ),
        ({"support_images": np.zeros((2, 8, 8, 1))}, r"float64 \[2, 8, 8, 1\] is not uint8"),
        ({"support_images": np.zeros((1, 8, 8, 1), np.uint8)}, "show .*; give images of two or more"),
    ],
)
def test_what_names_no_task_is_refused(given: dict[str, Any], message: str, projector: Projector) -> None:
    with pytest.raises(InputError, match=message):
        projector.generate(**given)
