"""Vision Transformers as timm makes them, in folders that `timm.create_model("local-dir:FOLDER")` reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from projpipe.atomic import write_atomically
from projpipe.errors import InputError

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# What timm says of the weights of an architecture that also holds for weights of another data set or licence.
_KEPT = ("architecture", "interpolation", "first_conv", "classifier")
_KEPT_IF_PRETRAINED = ("tag", "license", "origin_url", "paper_name", "paper_ids", "notes")


@dataclass(frozen=True)
class InputSettings:
    """What a model says of its images and its classes in timm's `pretrained_cfg`.

    Args:
        mean, std: by which images in 0..1 are to be normalised, a value for each channel.
        label_names: names of the classes, in the order of the logits; none where it has no classes.
    """

    mean: Sequence[float]
    std: Sequence[float]
    label_names: Sequence[str] = ()

    def to_json(self) -> dict[str, object]:
        """The entries of `pretrained_cfg`."""
        labels = {"label_names": list(self.label_names)} if self.label_names else {}
        return {"mean": list(self.mean), "std": list(self.std), **labels}


@dataclass(frozen=True)
class VitArguments:
    """What makes a model of an architecture of timm.

    Args:
        arguments: what differs from that architecture; JSON values. timm keeps them with the model.
        settings: what it says of itself; None for images as they are, and no names of classes.
    """

    arguments: Mapping[str, Any]
    in_chans: int
    num_classes: int
    settings: InputSettings | None = None


def create_vit(architecture: str, asked: VitArguments, pretrained: bool = False) -> VisionTransformer:
    """A timm model that says of itself which images it reads and what its classes are.

    Args:
        architecture: timm's name for it.
        pretrained: fetch timm's weights; without them they are random, from torch's global generator.
    """
    import timm

    in_chans, num_classes = asked.in_chans, asked.num_classes
    settings = asked.settings or InputSettings(in_chans * [0.0], in_chans * [1.0])
    model = timm.create_model(
        architecture, pretrained=pretrained, in_chans=in_chans, num_classes=num_classes, **asked.arguments
    )
    kept = (*_KEPT, *(_KEPT_IF_PRETRAINED if pretrained else ()))
    model.pretrained_cfg = model.default_cfg = {
        **{key: model.pretrained_cfg[key] for key in kept if key in model.pretrained_cfg},
        "input_size": (in_chans, *model.patch_embed.img_size),
        "fixed_input_size": True,
        "num_classes": num_classes,
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": tuple(settings.mean),
        "std": tuple(settings.std),
        "pool_size": None,
        **({"label_names": list(settings.label_names)} if settings.label_names else {}),
    }
    return model


def save_timm_folder(model: VisionTransformer, folder: Path) -> None:
    """Write a model of `create_vit` or `load_timm_folder` as config.json and model.safetensors, both or neither."""
    from timm.models import save_for_hf

    with write_atomically(Path(folder)) as temporary:
        save_for_hf(model, str(temporary), safe_serialization=True)


def load_timm_folder(folder: Path) -> VisionTransformer:
    """Read back a model, in eval mode, from safetensors alone.

    Raises:
        InputError: a file is missing, truncated, or does not fit the other one.
    """
    import timm

    config = Path(folder) / CONFIG
    try:
        json.loads(config.read_text(encoding="utf-8"))["architecture"]
    except FileNotFoundError as error:
        raise InputError(f"{config} is missing; write or copy the whole folder again") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{config} cannot be read ({error!r}); write or copy the whole folder again") from error
    weights = read_safetensors(Path(folder) / WEIGHTS)
    with torch.random.fork_rng():
        model = timm.create_model(f"local-dir:{folder}")
    try:
        load_weights(model, weights)
    except InputError as error:
        raise InputError(
            f"{folder}: {WEIGHTS} does not fit {CONFIG}, {error}; write or copy the whole folder again"
        ) from error
    return model.eval()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        InputError: the file is missing, truncated or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; give or write it again") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is truncated or no safetensors file ({error}); give or write it again") from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load a state dict, which must fit.

    Raises:
        InputError: says what does not fit, for the caller to say where the weights are from.
    """
    own = model.state_dict()
    if lacking := own.keys() - weights.keys():
        raise InputError(f"it lacks {_some(lacking)}")
    if surplus := weights.keys() - own.keys():
        raise InputError(f"the model has no place for {_some(surplus)}")
    for name, tensor in own.items():
        if weights[name].shape != tensor.shape:
            raise InputError(f"{name} is {list(weights[name].shape)} there and {list(tensor.shape)} in the model")
    model.load_state_dict(weights)


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
