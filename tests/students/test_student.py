"""A model's folder is what timm itself would have written, and comes back as it was."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from projpipe.errors import InputError
from projpipe.evaluation.cost import deployed_cost
from projpipe.manifest import MANIFEST, manifest_bytes
from projpipe.objectives import Classification
from projpipe.students.model_card import model_card
from projpipe.students.student import CARD, KIND, Student, load_student
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.export import from_timm_state, timm_state
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import CONFIG, WEIGHTS, save_timm_folder

LAYOUTS = {
    "class token": {},
    "average pooling": {"global_pool": "avg", "class_token": False},
    "average pooling after the norm": {"global_pool": "avg", "fc_norm": False},
    "registers": {"reg_tokens": 2, "mlp_ratio": 1.7},
    "as in CLIP": {"pre_norm": True, "act_layer": "quick_gelu"},
}
CLASSES = ["<b>bag</b>", "Größe", "a, b"]
OBJECTIVE = Classification([0.1, 0.2, 0.3], [0.4, 0.5, -0.6], (3, 8, 12))


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def student(request: pytest.FixtureRequest) -> Student:
    sizes = {"img_size": (8, 12), "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 3}
    model = timm.create_model("vit_tiny_patch16_224", **{**sizes, **request.param}).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    spec, weights = TransformerSpec.of(model), canonical_weights(model)
    if spec.pre_norm:
        weights["patch.bias"] = torch.randn(24, generator=generator)  # a student has one, and timm has no place for it
    provenance = {"teacher": {"architecture": "vit_*", "params": 10**6}, "held_out_classes": ["Größe"]}
    return Student(spec, weights, CLASSES, OBJECTIVE, provenance)


def test_the_folder_is_the_one_that_timm_writes(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "own")
    save_timm_folder(student.to_timm(), tmp_path / "timm")
    own, by_timm = (json.loads((tmp_path / name / CONFIG).read_text(encoding="utf-8")) for name in ("own", "timm"))
    assert own == by_timm
    tensors, expected = (load_file(tmp_path / name / WEIGHTS) for name in ("own", "timm"))
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())


def test_a_model_comes_back_as_it_was_and_computes_what_timm_computes(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "model")
    loaded = load_student(tmp_path / "model")
    assert (loaded.spec, loaded.classes, loaded.provenance) == (student.spec, student.classes, student.provenance)
    assert loaded.objective == student.objective
    images = torch.randn(5, 3, 8, 12)
    by_timm = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).eval()
    torch.testing.assert_close(loaded.logits(images), student.logits(images), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(loaded.logits(images), by_timm(images), atol=1e-5, rtol=1e-5)


def test_an_energy_threshold_comes_back_and_timm_takes_no_notice_of_it(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "without")
    row = [0.5] * student.spec.embed_dim
    replace(student, energy_threshold=-1.25, other_row=row).save(tmp_path / "model")
    assert load_student(tmp_path / "model").other_row == row
    replace(student, energy_threshold=-1.25).save(tmp_path / "model")
    assert load_student(tmp_path / "model").other_row == ()
    assert load_student(tmp_path / "model").energy_threshold == -1.25
    assert json.loads((tmp_path / "model" / CONFIG).read_text(encoding="utf-8"))["energy_threshold"] == -1.25
    images = torch.randn(5, 3, 8, 12)
    model, without = (
        timm.create_model(f"local-dir:{tmp_path / name}", pretrained=True) for name in ("model", "without")
    )
    assert torch.equal(model.eval()(images), without.eval()(images))


def test_the_names_of_timm_lead_back_to_canonical_weights(student: Student) -> None:
    weights = from_timm_state(student.spec, timm_state(student.spec, student.weights))
    assert weights.keys() == student.weights.keys()
    moved = {"patch.bias", "pos"} if student.spec.pre_norm else set()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in student.weights.items() if name not in moved)


def test_the_counted_multiply_accumulates_are_those_of_torchs_counter(student: Student) -> None:
    cost = deployed_cost(student.to_timm(), OBJECTIVE)
    assert student.spec.deployed_macs(len(CLASSES)) == cost.macs


def test_the_folder_has_the_models_card(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "model")
    card = (tmp_path / "model" / CARD).read_text(encoding="utf-8")
    assert card == model_card(student.spec, CLASSES, OBJECTIVE, student.provenance)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (WEIGHTS, None, "is no model: "),
        (MANIFEST, None, "is no model: "),
        (MANIFEST, b"{", "is no model: "),
        (MANIFEST, b"[" * 100_000, "is no model: "),
        (MANIFEST, b"[]", "is not that of a model"),
        (MANIFEST, b'{"format": 1, "kind": []}', "is not that of a model"),
        (MANIFEST, b'{"format": 1, "kind": "projector"}', "is a projector and no model; make a model of it"),
        (MANIFEST, b'{"format": 2, "kind": "model"}', "format 2 is not 1"),
        (MANIFEST, b'{"format": 1, "kind": "model"}', "it lacks its checksums"),
        (WEIGHTS, b"", "truncated or was changed"),
        (CONFIG, b"{}", "truncated or was changed"),
        (CARD, b"# another", "README.md is truncated or was changed"),
    ],
)
def test_a_damaged_folder_is_refused(
    name: str, content: bytes | None, message: str, student: Student, tmp_path: Path
) -> None:
    student.save(tmp_path / "model")
    path = tmp_path / "model" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_student(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["a, b", "Größe", "bag"]},
        {"objective": OBJECTIVE.to_json() | {"std": [1, 1, 1]}},
        {"provenance": {}},
    ],
)
def test_a_manifest_that_was_changed_is_refused(change: dict, student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "model")
    path = tmp_path / "model" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json was changed: its checksum differs; make it again"):
        load_student(tmp_path / "model")


def test_a_manifest_that_belongs_to_other_weights_is_refused(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "model")
    files = {name: (tmp_path / "model" / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    described = json.loads((tmp_path / "model" / MANIFEST).read_text(encoding="utf-8"))
    described = {name: described[name] for name in ("classes", "objective", "provenance")}
    described["spec"] = {**student.spec.to_json(), "depth": 3}
    (tmp_path / "model" / MANIFEST).write_bytes(manifest_bytes(KIND, described, files))
    with pytest.raises(InputError, match="does not describe model.safetensors: config.json is that of another"):
        load_student(tmp_path / "model")


def reseal(folder: Path, **changes: object) -> None:
    """Write a manifest that says something else, and fits the files of a folder."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | changes
    described = {key: manifest[key] for key in manifest if key not in ("format", "kind", "sha256")}
    files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS, CARD)}
    (folder / MANIFEST).write_bytes(manifest_bytes(KIND, described, files))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [CLASSES[0], "Größe", "bag"]}, "config.json is that of another model"),
        ({"classes": ["a", "a", "b"]}, "classes: 2 names are not 3"),
        ({"classes": "abc"}, 'classes: "abc" is not a list'),
        ({"classes": []}, r"classes: a length of 0 is not in 1\.\."),
        ({"objective": OBJECTIVE.to_json() | {"mean": [0.5, 0.2, 0.3]}}, "config.json is that of another model"),
        ({"objective": OBJECTIVE.to_json() | {"std": [1, 0, 1]}}, "objective.std: .* or one is zero"),
        ({"objective": OBJECTIVE.to_json() | {"image_shape": [3, 12, 8]}}, "objective.image_shape: .* is not that of"),
        ({"provenance": {"versions": None}}, "provenance.versions: null is not an object"),
        ({"provenance": {"validation_score": "high"}}, 'provenance.validation_score: "high" is not a number'),
        ({"shade": 1}, "shade: is not known"),
        ({"energy_threshold": "low"}, 'energy_threshold: "low" is not a number'),
        ({"energy_threshold": 0.5}, "config.json is that of another model"),
        ({"other_row": [0.5]}, "other_row: 1 numbers are not 24"),
        ({"other_row": []}, "other_row: a length of 0"),
    ],
)
def test_a_forged_manifest_that_says_what_cannot_be_is_refused(
    changes: dict, message: str, student: Student, tmp_path: Path
) -> None:
    student.save(tmp_path / "model")
    reseal(tmp_path / "model", **changes)
    with pytest.raises(InputError, match=rf"manifest.json does not describe model.safetensors: .*{message}"):
        load_student(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 1}, "config.json is that of another model"),
        ({"class_token": 1}, "config.json is that of another model"),
        ({"mlp_ratio": float("nan")}, "NaN is not a number"),
    ],
)
def test_a_forged_config_of_which_timm_would_make_another_model_is_refused(
    change: dict, message: str, student: Student, tmp_path: Path
) -> None:
    student.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / CONFIG).read_text(encoding="utf-8"))
    config["model_args"] |= change
    (tmp_path / "model" / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    reseal(tmp_path / "model")
    with pytest.raises(InputError, match=message):
        load_student(tmp_path / "model")


def test_a_model_that_would_be_refused_is_not_written(student: Student, tmp_path: Path) -> None:
    student.weights["head.bias"][0] = torch.nan
    with pytest.raises(InputError, match=r"head\.bias holds a number that is infinite or none"):
        student.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_whose_manifest_is_older_than_checksums_of_cards_comes_back(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / MANIFEST).read_text(encoding="utf-8"))
    described = {key: manifest[key] for key in manifest if key not in ("format", "kind", "sha256")}
    files = {name: (tmp_path / "model" / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    (tmp_path / "model" / MANIFEST).write_bytes(manifest_bytes(KIND, described, files))
    (tmp_path / "model" / CARD).write_text("edited")
    assert load_student(tmp_path / "model").classes == student.classes
