"""Models come back from their folders as they were, through timm and through projpipe."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from projpipe.errors import InputError
from projpipe.transformer.timm_folder import (
    InputSettings,
    VitArguments,
    create_vit,
    load_timm_folder,
    read_safetensors,
    save_timm_folder,
)

SIZES = {"img_size": [8, 12], "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
LAYOUTS: dict[str, dict[str, Any]] = {
    "class token": {},
    "average pooling": {"global_pool": "avg", "class_token": False},
    "average pooling after the norm": {"global_pool": "avg", "fc_norm": False},
    "registers": {"reg_tokens": 3, "no_embed_class": True, "mlp_ratio": 1.7},
    "LayerScale without qkv bias": {"init_values": 1e-2, "qkv_bias": False},
    "regularised": {"drop_rate": 0.1, "drop_path_rate": 0.1},
}


def make(**layout: Any) -> VisionTransformer:
    """A colour model of three classes with nothing left at its neutral init."""
    settings = InputSettings([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], ["bag", "boot", "Größe"])
    model = create_vit("vit_tiny_patch16_224", VitArguments({**SIZES, **layout}, 3, 3, settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_folder_gives_the_same_outputs_through_timm_and_through_projpipe(layout: dict, tmp_path: Path) -> None:
    model = make(**layout)
    save_timm_folder(model, tmp_path / "model")
    images = torch.randn(5, 3, 8, 12)
    for loaded in (
        load_timm_folder(tmp_path / "model"),
        timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).eval(),
    ):
        assert type(loaded) is VisionTransformer
        assert torch.equal(loaded(images), model(images))


def test_a_folder_says_how_to_read_images_and_what_the_classes_are(tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    settings = timm.data.resolve_model_data_config(timm.create_model(f"local-dir:{tmp_path / 'model'}"))
    assert settings["input_size"] == (3, 8, 12)
    assert list(settings["mean"]) == [0.1, 0.2, 0.3]
    assert list(settings["std"]) == [0.4, 0.5, 0.6]
    assert load_timm_folder(tmp_path / "model").pretrained_cfg["label_names"] == ["bag", "boot", "Größe"]
    assert "url" not in (tmp_path / "model" / "config.json").read_text()


def test_a_grey_model_without_data_settings_reads_images_as_they_are(tmp_path: Path) -> None:
    save_timm_folder(create_vit("vit_tiny_patch16_224", VitArguments(SIZES, 1, 2)), tmp_path / "model")
    settings = timm.data.resolve_model_data_config(load_timm_folder(tmp_path / "model"))
    assert (list(settings["mean"]), list(settings["std"]), settings["input_size"]) == ([0.0], [1.0], (1, 8, 12))


def test_saving_what_was_loaded_changes_nothing(tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "first")
    save_timm_folder(load_timm_folder(tmp_path / "first"), tmp_path / "second")
    first, second = tmp_path / "first", tmp_path / "second"
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert json.loads((first / "config.json").read_text()) == json.loads((second / "config.json").read_text())


def test_loading_touches_no_random_numbers(tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    before = torch.random.get_rng_state()
    load_timm_folder(tmp_path / "model")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_save_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    model = make()
    save_timm_folder(model, tmp_path / "model")
    before = (tmp_path / "model" / "config.json").read_bytes()
    model._model_args["norm_layer"] = torch.nn.LayerNorm  # what JSON cannot hold
    with pytest.raises(ValueError, match="norm_layer"):
        save_timm_folder(model, tmp_path / "model")
    assert (tmp_path / "model" / "config.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_pickle_in_the_folder_is_never_read(tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        load_timm_folder(tmp_path / "model")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_or_missing_file_is_named(tmp_path: Path) -> None:
    model, folder = make(), tmp_path / "model"
    save_timm_folder(model, folder)
    truncate(folder / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors is truncated .*write it again"):
        load_timm_folder(folder)
    save_timm_folder(model, folder)
    truncate(folder / "config.json")
    with pytest.raises(InputError, match=r"config\.json cannot be read .*copy the whole folder again"):
        load_timm_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json is missing; write or copy the whole folder again"):
        load_timm_folder(folder)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["model_args"]["depth"] = 3
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"does not fit config\.json, it lacks blocks\.2\..* and 9 more"):
        load_timm_folder(tmp_path / "model")


def test_a_file_that_is_no_safetensors_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"weights\.safetensors is truncated or no safetensors file"):
        read_safetensors(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 10**9}, "model_args.depth: 1000000000 is not in 0..1"),
        ({"depth": 1000}, r"model_args.depth: 1000 is not in 1\.\.256"),
        ({"num_heads": True}, "model_args.num_heads: true is not a whole number"),
        ({"num_heads": 0}, "timm makes no model of it"),
        ({"embed_dim": 3 * 2**14}, "does not fit config.json, .* in the model"),
        ({"device": "cuda"}, "model_args.device: is not known"),
        ({"features_only": True}, "model_args.features_only: is not known"),
        ({"norm_layer": ["x"]}, "model_args.norm_layer"),
    ],
)
def test_arguments_that_make_no_model_or_a_huge_one_are_refused(change: dict, message: str, tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["model_args"] |= change
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=rf"model/.*{message}.*write or copy the whole folder again"):
        load_timm_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet18"}, "is a ResNet, which cannot be projected"),
        ({"architecture": "vit_tiny"}, "is not a model of timm"),
        ({"pretrained_cfg": []}, r"pretrained_cfg: \[\] is not an object"),
        ({"label_names": ["x"]}, "label_names: is not known"),
    ],
)
def test_a_config_of_something_else_is_refused(change: dict, message: str, tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=message):
        load_timm_folder(tmp_path / "model")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_is_not_opened(name: str, tmp_path: Path) -> None:
    save_timm_folder(make(), tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    os.mkfifo(tmp_path / "model" / name)
    with pytest.raises(InputError, match=rf"{name} .*is no regular file"):
        load_timm_folder(tmp_path / "model")
