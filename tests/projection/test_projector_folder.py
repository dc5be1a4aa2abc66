"""A projector's folder makes the students it was trained to make, or says what is wrong with it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

from makers import CONDITIONINGS, DIGITS, make_projector
from projpipe import load_projector
from projpipe.errors import InputError
from projpipe.objectives import Classification
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.forward import forward_students


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


def test_what_no_task_changes_is_multiplied_once_and_kept_in_the_folder(folder: Path) -> None:
    operator = load_projector(folder).operator
    kept = operator.projected
    operator.load_state_dict(operator.state_dict())  # forgets them
    assert operator.projected is None
    torch.testing.assert_close(kept, operator.precompute())


def test_names_are_known_however_their_letters_are_composed(folder: Path) -> None:
    projector = load_projector(folder)
    projector.data["classes"][0] = normalize("NFD", "Größe")
    assert projector.class_ids([normalize("NFC", "Größe"), projector.classes[1]]) == [0, 1]


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
    inverted: bool, source: Source, teacher: VisionTransformer, tmp_path: Path
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
    expected = [name for class_id, name in enumerate(DIGITS) if class_id in seen[:4]]
    assert 2 <= len(expected) < len(DIGITS)
    assert projector.recognise(pictures[:4]) == expected
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file, picture in zip(files, pictures, strict=False):
        Image.fromarray(picture[..., 0]).save(file)
    for given in (list(pictures[:4]), files, [str(file) for file in files], tmp_path, str(tmp_path)):
        assert projector.recognise(given) == expected
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
        ({"support_images": []}, "support_images: there is none; give a few pictures of two or more classes"),
        ({"support_images": np.zeros((0, 8, 8, 1), np.uint8)}, "support_images: there is none"),
        ({"support_images": [np.zeros((8, 8, 1), np.uint8), np.zeros((9, 8, 1), np.uint8)]}, "is not uint8"),
        ({"support_images": "no/such/folder"}, "'no/such/folder': there is no such file or folder"),
        ({"support_images": np.zeros((2, 8, 8, 1))}, r"float64 \[2, 8, 8, 1\] is not uint8"),
        ({"support_images": np.zeros((1, 8, 8, 1), np.uint8)}, "show .*; give images of two or more"),
    ],
)
def test_what_names_no_task_is_refused(given: dict[str, Any], message: str, projector: Projector) -> None:
    with pytest.raises(InputError, match=message):
        projector.generate(**given)
