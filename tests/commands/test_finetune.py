"""`projpipe finetune` makes a model that is better on the user's own pictures, or leaves it as it is."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from click.testing import Result
from huggingface_hub import ModelCard
from PIL import Image

from makers import CLASSIFIER
from projpipe.commands import fine_tuning
from projpipe.commands.fine_tuning import FineTuning, LabelledImages, fine_tune, split, teacher_of
from projpipe.objectives import Classification
from projpipe.projection.projector import Projector
from projpipe.students.student import Student, load_student
from projpipe.transformer.spec import TransformerSpec

Command = Callable[..., Result]
CLASSES = ["Sneaker", "Bag", "Greek/alpha"]  # of the model
EACH = 10


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Pictures of the model's classes that are easily told apart, dark, grey and bright, and of another class."""
    rng = np.random.default_rng(0)
    for shade, name in zip((0, 100, 200, 50), [*CLASSES, "Coat"], strict=True):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(EACH):
            picture = rng.integers(shade, shade + 56, (8, 8), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "own" / name / f"{number}.png")
    return tmp_path / "own"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def finetuned(projpipe: Command, *arguments: object) -> dict[str, Any]:
    result = projpipe("finetune", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_new_folder_is_an_ordinary_model_that_is_better_on_held_out_pictures(
    model: Path, own: Path, tmp_path: Path, projpipe: Command
) -> None:
    before, out = files_of(model), tmp_path / "better"
    found = finetuned(projpipe, model, own, "--out", out, "--steps", 60, "--learning-rate", 0.01)
    assert files_of(model) == before
    assert (found["images"], found["held_out"], found["left_out"], found["steps"]) == (24, 6, 10, 60)
    assert found["accuracy"]["before"] < 0.9 <= found["accuracy"]["after"]

    stock, labels = timm.create_model(f"local-dir:{out}", pretrained=True).eval(), torch.arange(3).repeat_interleave(10)
    pictures = np.stack([np.asarray(Image.open(own / name / f"{n}.png")) for name in CLASSES for n in range(EACH)])
    _, held_out = split(labels, 0.2, seed=0)
    with torch.inference_mode():
        said = stock(load_student(out).objective.encode(pictures[held_out.numpy(), ..., None])).argmax(-1)
    assert (said == labels[held_out]).float().mean().item() == pytest.approx(found["accuracy"]["after"])

    card = (out / "README.md").read_text()
    assert "and **fine-tuned** it on 24 labelled images." in card
    assert "On 6 images that it did not learn from its accuracy was" in card
    assert "without fine-tuning" not in card
    shown = json.loads(projpipe("inspect", out, "--json").stdout)
    assert shown["accuracy_on_images_held_out_of_fine_tuning"] == found["accuracy"]
    assert shown["accuracy_on_validation_tasks"] is None  # that was of models that were not fine-tuned
    (result,) = ModelCard(card).data.eval_results
    assert (result.dataset_type, result.metric_type, result.metric_value) == (
        "imagefolder",
        "accuracy",
        found["accuracy"]["after"],
    )
    assert "on 6 pictures held out of fine-tuning: 100.0 % [61.0, 100.0]" in result.metric_name
    assert "and is 100.0 % [61.0, 100.0] now (95 % interval)" in card
    again = projpipe("finetune", out, own, "--out", tmp_path / "again", "--steps", 1)
    assert again.exit_code == 0, again.output
    assert "24 pictures to learn from, 6 held out: accuracy 100.0 % [61.0, 100.0] before, " in again.stdout


def test_the_same_seed_and_steps_give_the_same_bytes(model: Path, own: Path, tmp_path: Path, projpipe: Command) -> None:
    torch.manual_seed(0)
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        finetuned(projpipe, model, own, "--out", tmp_path / name, "--steps", 12, "--seed", seed)
        torch.rand(7)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert files_of(tmp_path / "one")["model.safetensors"] != files_of(tmp_path / "other")["model.safetensors"]


def test_a_model_that_gets_no_better_stays_as_it_is(
    model: Path, own: Path, tmp_path: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([(0.5, -1.0)] + 10 * [(0.5, -1.1)])
    monkeypatch.setattr(fine_tuning, "_judge", lambda *arguments: next(scores))
    result = projpipe("finetune", model, own, "--out", tmp_path / "same", "--steps", 10)
    assert "no step of 10 was better, so it is MODEL as it was" in result.stdout
    assert files_of(tmp_path / "same") == files_of(model)


@pytest.mark.parametrize(
    "spec",
    [CLASSIFIER, replace(CLASSIFIER, pool="avg", norm_after_pool=True), replace(CLASSIFIER, pre_norm=True)],
    ids=["token", "fc_norm", "pre_norm"],
)
def test_what_is_kept_is_what_was_judged(spec: TransformerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = spec.weight_shapes(2)
    weights = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
    objective = Classification([0.5] * 3, [0.5] * 3, (3, *spec.image_size))
    pictures = np.random.default_rng(0).integers(0, 256, (20, *spec.image_size, 3), np.uint8)
    pictures[::2] //= 2
    data = LabelledImages(Student(spec, weights, ["a", "b"], objective, {}, 0.5), pictures, torch.arange(20) % 2)
    scores, judge = [], fine_tuning._judge

    def recorded(*arguments: Any) -> tuple[float, float]:
        scores.append(judge(*arguments))
        return scores[-1]

    monkeypatch.setattr(fine_tuning, "_judge", recorded)
    tuned, outcome = fine_tune(data, FineTuning(20, 0.0, 0.01, 0.2, 0, 1), None)
    assert outcome.kept_step > 0
    assert len(scores) == 11
    _, held_out = split(data.labels, 0.2, 0)
    logits = tuned.to_timm()(objective.encode(pictures[held_out.numpy()]))
    below = logits.exp().mean(-1).log().quantile(0.05).item()  # that of the start was measured of other weights
    assert tuned.energy_threshold == pytest.approx(below, abs=1e-3)
    loss = F.cross_entropy(logits, data.labels[held_out]).item()
    assert max(scores)[1] == pytest.approx(-loss, abs=1e-5)
    assert torch.equal(data.student.weights["pos"], weights["pos"])


def test_a_rate_at_which_the_loss_is_no_number_is_named(
    model: Path, own: Path, tmp_path: Path, projpipe: Command
) -> None:
    result = projpipe("finetune", model, own, "--out", tmp_path / "out", "--steps", 20, "--learning-rate", 1e30)
    assert result.exit_code == 2
    assert re.search(r"--learning-rate: the loss is (nan|inf) in step \d+; lower it, 1e\+30\n$", result.stderr)
    assert not (tmp_path / "out").exists()


def test_every_class_is_split_alike_and_by_the_seed() -> None:
    labels = torch.tensor(2 * [0] + 10 * [1] + 3 * [2])
    train, held_out = split(labels, 0.3, seed=0)
    assert labels[held_out].bincount().tolist() == [1, 3, 1]
    assert sorted(torch.cat([train, held_out]).tolist()) == list(range(15))
    assert not torch.equal(held_out, split(labels, 0.3, seed=1)[1])
    assert labels[split(labels, 0.99, seed=0)[0]].bincount().tolist() == [1, 1, 1]


def test_the_teacher_is_the_projectors_source_masked_to_the_models_classes(
    folder: Path, model: Path, teacher: torch.nn.Module, images: torch.Tensor
) -> None:
    said = teacher_of(folder, load_student(model), "cpu")(images)
    with torch.no_grad():
        torch.testing.assert_close(said, teacher(images)[:, [0, 1, 8]], atol=1e-4, rtol=1e-4)


def test_a_projector_teaches_what_its_large_model_says(
    folder: Path, model: Path, own: Path, tmp_path: Path, projpipe: Command
) -> None:
    asked = [model, own, "--steps", 10, "--learning-rate", 0.01]
    assert finetuned(projpipe, *asked, "--out", tmp_path / "taught", "--projector", folder)["distilled"]
    assert not finetuned(projpipe, *asked, "--out", tmp_path / "alone")["distilled"]
    taught, alone = (load_student(tmp_path / name).weights for name in ("taught", "alone"))
    assert not torch.equal(taught["pos"], alone["pos"])
    assert "24 labelled images and on what the large one says of them" in (tmp_path / "taught/README.md").read_text()


def test_a_projector_of_other_images_is_refused(
    projector: Projector, model: Path, own: Path, tmp_path: Path, projpipe: Command
) -> None:
    replace(projector, data={**projector.data, "inverted": False}).save(tmp_path / "other")
    result = projpipe("finetune", model, own, "--out", tmp_path / "out", "--projector", tmp_path / "other")
    assert result.exit_code == 2
    assert "reads other images than this model; give the one that made it" in result.stderr


def test_seconds_are_so_many_steps_as_fit(
    model: Path, own: Path, tmp_path: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "seconds", lambda run: 0.05)
    assert finetuned(projpipe, model, own, "--out", tmp_path / "out", "--seconds", 1)["steps"] == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "model", "--force"], "is where MODEL is, which stays as it is; choose another folder"),
        (["--out", "model/inside"], "is where MODEL is, which stays as it is"),
        (["--out", "own"], "exists; choose another folder"),
        (["--out", "own", "--force"], "holds more than what projpipe wrote"),
        (["--out", "new", "--steps", "5", "--seconds", "5"], "--steps and --seconds both say how long to learn"),
        (["--out", "new", "--validation", "1"], "is not in the range"),
        (["--out", "new", "--device", "nowhere"], "--device: 'nowhere' is not there"),
        (["--out", "new", "--device", "meta"], "--device: 'meta' is not there"),
        (["--out", "new", "--learning-rate", "1e38"], "--learning-rate: the loss is "),
        (["--out", "new", "--projector", "model"], "is a model and no projector"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    arguments: list[str],
    message: str,
    model: Path,
    own: Path,
    projpipe: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(model.parent)
    before = files_of(model)
    result = projpipe("finetune", model, own, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert files_of(model) == before
    assert not (model.parent / "new").exists()


@pytest.mark.parametrize(("kept", "count"), [(0, "0 readable pictures"), (1, "1 readable picture")])
def test_a_class_that_would_be_forgotten_is_named(
    kept: int, count: str, model: Path, own: Path, tmp_path: Path, projpipe: Command
) -> None:
    for path in sorted((own / "Bag").iterdir())[kept:]:
        path.unlink()
    result = projpipe("finetune", model, own, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"own: {count} of 'Bag', which the model would forget; give two or more of each" in result.stderr


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_learned_from(
    model: Path, own: Path, tmp_path: Path, projpipe: Command
) -> None:
    (own / "Bag/0.png").write_bytes(b"")
    strict = projpipe("finetune", model, own, "--out", tmp_path / "out", "--steps", 1, "--strict")
    assert (strict.exit_code, (tmp_path / "out").exists()) == (2, False)
    result = projpipe("finetune", model, own, "--out", tmp_path / "out", "--steps", 1, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["unreadable"] == 1
    assert "Bag/0.png: is no image of a known format" in result.stderr
    assert load_student(tmp_path / "out").provenance["fine_tuned"]["images"] == 23
