"""Teachers fit the data; what cannot make one is said before any work starts."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from makers import DIGITS, dataset_card, make_projector, teacher_config
from projpipe.errors import InputError
from projpipe.images.dataset_card import DatasetCard
from projpipe.objectives import Classification
from projpipe.projection.source import Source
from projpipe.teacher.create import create_teacher, planned_spec
from projpipe.transformer.spec import TransformerSpec

CARD = dataset_card(classes="abcde")
ARGUMENTS = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}


def make(folder: Path = Path(), card: DatasetCard = CARD, **changes: Any) -> torch.nn.Module:
    """A teacher of the small settings; changes of `arguments` are added to them."""
    config = teacher_config(**{**changes, "arguments": {**ARGUMENTS, **changes.get("arguments", {})}})
    return create_teacher(config, classification(card), card, folder)


def classification(card: DatasetCard) -> Classification:
    return Classification(card.mean, card.std, (card.channels, *card.image_size))


def test_a_teacher_fits_the_data() -> None:
    model = make()
    assert not model.training
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    assert (model.pretrained_cfg["mean"], model.pretrained_cfg["std"]) == ((0.3,), (0.4,))
    assert model.pretrained_cfg["label_names"] == list("abcde")


def test_images_need_not_be_square() -> None:
    assert make(card=replace(CARD, image_size=(8, 12)))(torch.zeros(1, 1, 8, 12)).shape == (1, 5)


def test_the_seed_alone_decides_random_weights() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = make().state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = make().state_dict(), make(seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["blocks.0.attn.qkv.weight"], other["blocks.0.attn.qkv.weight"])
    assert not torch.equal(first["pos_embed"], other["pos_embed"])


def test_a_checkpoint_comes_back_from_a_path_relative_to_the_folder(tmp_path: Path) -> None:
    saved = make(seed=3).state_dict()
    save_file(saved, tmp_path / "own.safetensors")
    loaded = make(tmp_path, weights="own.safetensors").state_dict()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


@pytest.fixture
def projector(source: Source, tmp_path: Path) -> Path:
    """The folder of a projector for the teacher that is the fixture `teacher`."""
    make_projector(source).save(tmp_path / "projector")
    return tmp_path / "projector"


def of_projector(place: Path, classes: Sequence[str] = DIGITS, **changes: Any) -> torch.nn.Module:
    card = replace(CARD, classes=tuple(classes), mean=(0.3,), std=(0.35,))
    arguments = {"embed_dim": 24, "depth": 4, "num_heads": 3, "mlp_ratio": 2.0, **changes.pop("arguments", {})}
    return make(card=card, weights=f"projector:{place}", training={"epochs": 0}, arguments=arguments, **changes)


def test_the_teacher_of_a_projector_answers_as_it_did(
    projector: Path, teacher: torch.nn.Module, images: torch.Tensor
) -> None:
    model = of_projector(projector)
    assert not model.training
    assert model.pretrained_cfg["label_names"] == DIGITS
    torch.testing.assert_close(model(images), teacher(images), atol=1e-4, rtol=1e-4)


def test_the_teacher_of_a_projector_knows_some_classes_in_another_order(
    projector: Path, teacher: torch.nn.Module, images: torch.Tensor
) -> None:
    answers = of_projector(projector, ["seven", "two", "five"])(images)
    torch.testing.assert_close(answers, teacher(images)[:, [7, 2, 5]], atol=1e-4, rtol=1e-4)


def test_a_projector_whose_teacher_does_not_fit_is_refused(
    projector: Path, image_projector: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"has 4 blocks x 24, .*, not 2 blocks x 24, .*; set architecture and"):
        of_projector(projector, arguments={"depth": 2})
    with pytest.raises(InputError, match=r"elevn"):
        of_projector(projector, [*DIGITS, "elevn"])
    with pytest.raises(InputError, match=r"is a projector of image_modeling, .* both must be of classification"):
        of_projector(image_projector)
    with pytest.raises(InputError, match="there is no"):
        of_projector(tmp_path / "nothing")
    objective = Classification([0.1], [0.2], (1, 8, 8))
    config = teacher_config(weights=f"projector:{projector}", arguments={**ARGUMENTS, "depth": 4, "mlp_ratio": 2.0})
    with pytest.raises(InputError, match=r"normalisation: .* set it to \{mean: \[0\.3\], std: \[0\.35\]\}"):
        create_teacher(config, objective, replace(CARD, classes=tuple(DIGITS)), tmp_path)


@pytest.mark.parametrize("head", ["of another size", "missing"])
def test_a_classifier_that_does_not_fit_starts_anew(
    head: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "own.safetensors"
    saved = make(seed=3, card=replace(CARD, classes=tuple("abc"))).state_dict()
    if head == "missing":
        saved = {name: tensor for name, tensor in saved.items() if not name.startswith("head.")}
    save_file(saved, path)
    with caplog.at_level(logging.INFO, logger="projpipe"):
        model = make(weights=str(path))
    assert "not 5: the classifier starts at random" in caplog.text
    assert torch.equal(model.head.weight, make().head.weight)
    assert torch.equal(model.blocks[1].mlp.fc1.weight, saved["blocks.1.mlp.fc1.weight"])


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights: there is no file .*own\.safetensors; give an existing"):
        make(tmp_path, weights="own.safetensors")
    with pytest.raises(InputError, match=r"there is no file .*; did you mean 'pretrained'\?"):
        make(tmp_path, weights="pretraind")


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    torch.save(make().state_dict(), tmp_path / "own.pth")
    with pytest.raises(InputError, match=r"own\.pth is not a \.safetensors file.*save_file"):
        make(tmp_path, weights="own.pth")


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file(make().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"own\.safetensors is truncated"):
        make(weights=str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embed_dim": 48}, r"does not fit, cls_token is \[1, 1, 24\] there and \[1, 1, 48\] in the model"),
        ({"depth": 1}, r"does not fit, the model has no place for blocks\.1\.\S+, blocks\.1.* and 9 more"),
        ({"depth": 3}, r"does not fit, it lacks blocks\.2.* and 9 more; set architecture and arguments"),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(arguments: dict[str, int], message: str, tmp_path: Path) -> None:
    save_file(make().state_dict(), tmp_path / "own.safetensors")
    with pytest.raises(InputError, match=message):
        make(tmp_path, weights="own.safetensors", arguments=arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vit_tinny_patch16_224"}, "did you mean 'vit_tiny_patch16_224'"),
        ({"architecture": "resnet18"}, "is a ResNet, which cannot be projected"),
        ({"arguments": {"qk_norm": True}}, "a normalisation inside its attention"),
        ({"arguments": {"embed_dims": 24}}, "arguments: timm cannot build .*unexpected keyword argument 'embed_dims'"),
        ({"arguments": {"num_heads": 5}}, "arguments: timm cannot build .*divisible"),
        ({"arguments": {"img_size": 16}}, "img_size: 16x16 is not the size of the images, 8x8; leave it out"),
        ({"arguments": {"patch_size": 3}}, "patch_size: images of 8x8 do not divide into patches of 3x3"),
        ({"arguments": {"in_chans": 3}}, "in_chans"),
    ],
)
def test_settings_that_make_no_teacher_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub's own offline mode, with an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.usefixtures("no_network")
def test_without_a_network_pretrained_weights_are_refused_with_the_fix() -> None:
    with pytest.raises(InputError, match=r"pretrained weights of .* cannot be fetched .*check the network"):
        make(weights="pretrained")


@pytest.mark.usefixtures("no_network")
def test_an_architecture_without_pretrained_weights_says_so() -> None:
    architecture = "vit_small_patch16_36x1_224"
    assert timm.list_pretrained(f"{architecture}.*") == []
    with pytest.raises(
        InputError,
        match=rf"weights of '{architecture}' cannot be fetched \(No pretrained weights .*set weights to 'random'",
    ):
        make(weights="pretrained", architecture=architecture)


def test_a_classifier_that_nothing_would_train_is_refused(tmp_path: Path) -> None:
    untrained = {"training": {"epochs": 0}}
    message = r"training\.epochs: with 0 the head, of 5 outputs, would stay as it starts"
    with pytest.raises(InputError, match=message):
        make(**untrained)
    trained = make(seed=3)
    save_file(trained.state_dict(), tmp_path / "own.safetensors")
    assert torch.equal(make(tmp_path, weights="own.safetensors", **untrained).head.weight, trained.head.weight)
    headless = {name: tensor for name, tensor in trained.state_dict().items() if not name.startswith("head.")}
    save_file(headless, tmp_path / "headless.safetensors")
    with pytest.raises(InputError, match=message):
        make(tmp_path, weights="headless.safetensors", **untrained)


def test_pretrained_weights_are_fitted_to_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub stands aside; what it would fetch lies in a folder, as three-channel weights for larger images."""
    from timm.models import _builder

    card = replace(CARD, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3, image_size=(16, 16))
    published = make(tmp_path, card, seed=9).state_dict()
    monkeypatch.setattr(_builder, "load_state_dict_from_hf", lambda *_, **__: dict(published))
    model = make(weights="pretrained")
    assert torch.equal(model.blocks[0].attn.qkv.weight, published["blocks.0.attn.qkv.weight"])
    assert model.patch_embed.proj.weight.shape[1] == 1
    assert model.pos_embed.shape == (1, 1 + 4, 24)
    assert model.pretrained_cfg["license"] == "apache-2.0"
    save_file(model.state_dict(), tmp_path / "kept.safetensors")
    assert load_file(tmp_path / "kept.safetensors").keys() == published.keys()
    untrained = {"weights": "pretrained", "training": {"epochs": 0}}
    with pytest.raises(InputError, match=r"training\.epochs: with 0 the head, of 5 outputs"):
        make(**untrained)
    of_imagenet = replace(CARD, classes=tuple(str(i) for i in range(1000)))
    published |= {name: torch.ones(1000, *published[name].shape[1:]) for name in ("head.weight", "head.bias")}
    assert (make(card=of_imagenet, **untrained).head.weight == 1).all()


@pytest.mark.parametrize("arguments", [{}, {"mlp_ratio": 2.0, "class_token": False, "global_pool": "avg"}])
def test_the_planned_shape_is_that_of_the_teacher_but_for_its_images(arguments: dict[str, Any]) -> None:
    config = teacher_config(arguments={**ARGUMENTS, **arguments})
    built = TransformerSpec.of(make(arguments=arguments))
    assert replace(planned_spec(config), image_size=(8, 8), in_chans=1) == built


def test_arguments_that_timm_does_not_take_are_refused_in_the_plan_too() -> None:
    with pytest.raises(InputError, match=r"arguments: timm cannot build .*'dept'"):
        planned_spec(teacher_config(arguments={"dept": 2}))


@pytest.mark.parametrize("arguments", [{"depth": 0}, {"patch_size": 0}, {"embed_dim": -4}, {"drop_rate": 2.0}])
def test_arguments_that_make_no_model_are_refused_by_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"arguments: timm cannot build .*{next(iter(arguments))}.*; correct"):
        make(arguments=arguments)
