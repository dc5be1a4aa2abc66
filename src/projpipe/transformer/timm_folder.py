"""Vision Transformers as timm makes them, in folders that `timm.create_model("local-dir:FOLDER")` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.errors import InputError
from projpipe.manifest import CONFIG, WEIGHTS
from projpipe.record import Bounds, from_json, read_json, regular_file
from projpipe.tensors import Shapes, load_weights, read_tensors, shapes_of
from projpipe.transformer.architecture import check_architecture
from projpipe.transformer.spec import Depth, Size

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

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
        read = from_json(_Config, read_json(config), exact=True)
    except FileNotFoundError as error:
        raise InputError(f"{config} is missing; write or copy the whole folder again") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{config} cannot be read ({error}); write or copy the whole folder again") from error
    shapes = _planned_shapes(folder, read)
    weights = _weights_file(Path(folder) / WEIGHTS, lambda path: _fitting(path, shapes))
    with torch.random.fork_rng():
        model = timm.create_model(f"local-dir:{folder}")
    load_weights(model, weights)
    return model.eval()


Channels = Annotated[int, Bounds(1, 2**20)]  # of an image as a teacher reads it: symbols, and classes that it is told
Whole = Annotated[int, Bounds(0, 2**20)]
Real = Annotated[float, Bounds(-100, 100)]
Text = Annotated[str, Bounds(0, 100)]
OF_ARGUMENT: dict[object, Any] = {int: Whole, float: Real, bool: bool, str: Text}  # by what timm says that it takes


@dataclass(frozen=True)
class _Pretrained:
    """What of `pretrained_cfg` timm, or projpipe, looks at."""

    input_size: tuple[Channels, Size, Size]
    num_classes: Size
    mean: Sequence[float]
    std: Sequence[float]
    fixed_input_size: bool = False
    label_names: Sequence[str] = ()
    license: str | None = None


@dataclass(frozen=True)
class _Config:
    """What a folder's config.json holds; timm makes a model of `model_args` that it knows."""

    architecture: Text
    num_classes: Size
    num_features: Size
    pretrained_cfg: Mapping[str, object]
    model_args: Mapping[str, object]
    global_pool: Text = ""


def _planned_shapes(folder: Path, config: _Config) -> Shapes:
    """Shapes of a folder's tensors by its config, of whose model nothing is allocated.

    Raises:
        InputError: timm makes no model of it, or none that is a VisionTransformer.
    """
    import timm
    from timm.models.vision_transformer import VisionTransformer

    place, fix = f"{Path(folder) / CONFIG}", "write or copy the whole folder again"
    known = {name: one.annotation for name, one in signature(VisionTransformer).parameters.items()}
    if unknown := config.model_args.keys() - (known.keys() - {"device", "dtype"}):
        raise InputError(f"{place}: model_args.{min(unknown)[:40]}: is not known; {fix}")
    try:
        for name, value in config.model_args.items():
            kind = OF_ARGUMENT.get(known[name], bool | Whole | Real | Text | tuple[Size, Size] | None)
            from_json(kind, value, f"model_args.{name}")
        from_json(_Pretrained, config.pretrained_cfg, "pretrained_cfg")
        from_json(Depth, config.model_args.get("depth", 1), "model_args.depth")
        check_architecture(config.architecture)
        with torch.device("meta"):
            return shapes_of(timm.create_model(f"local-dir:{folder}").state_dict())
    except Exception as error:  # timm's constructors raise nearly anything
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{place}: timm makes no model of it ({reason}); {fix}") from error


def _fitting(path: Path, shapes: Shapes) -> dict[str, Tensor]:
    """The tensors of a file, which have to be of these shapes."""
    try:
        return read_tensors(path, shapes)
    except InputError as error:
        raise InputError(f"{path} does not fit {CONFIG}, {error}; write or copy the whole folder again") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        InputError: the file is missing, truncated or of another kind.
    """
    from safetensors.torch import load_file

    return _weights_file(path, lambda path: load_file(regular_file(path)))


def _weights_file(path: Path, read: Callable[[Path], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `read` reads from a file of tensors, or an InputError where it cannot be read."""
    from safetensors import SafetensorError

    try:
        return read(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; give or write it again") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is truncated or no safetensors file ({error}); give or write it again") from error
