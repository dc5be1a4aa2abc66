"""The teacher: a timm Vision Transformer with random, published or own weights, or that of a projector."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from projpipe.config import ExtractTeacherConfig
from projpipe.errors import InputError, did_you_mean
from projpipe.images.dataset_card import DatasetCard
from projpipe.objectives import OBJECTIVES, Classification, Objective, planned_arguments
from projpipe.projection.projector_folder import load_projector
from projpipe.tensors import load_weights
from projpipe.transformer.architecture import check_architecture, check_supported, published
from projpipe.transformer.class_weights import pad_tasks, told
from projpipe.transformer.export import export_student
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import create_vit, read_safetensors

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

POSITION_STD = 0.5
OF_PROJECTOR = "projector:"  # before the place of a projector whose teacher is taken
logger = logging.getLogger(__name__)


def create_teacher(
    config: ExtractTeacherConfig, objective: Objective, card: DatasetCard, folder: Path
) -> VisionTransformer:
    """A teacher for a data set, before any training on it.

    Args:
        config: architecture, arguments and weights.
        objective: what it is to learn, which decides on its input and its head.
        card: of the data set.
        folder: what a relative path of weights is relative to.

    Returns:
        A model in eval mode. The seed decides what is random in it.

    Raises:
        InputError: the architecture is unknown or cannot be projected, its arguments or weights do not fit, or the
            weights cannot be read or fetched, or nothing would train the classifier; or a projector does not know the
            classes, or its teacher is another model or reads other images.
    """
    planned_spec(config)
    projector = config.weights.removeprefix(OF_PROJECTOR) if config.weights.startswith(OF_PROJECTOR) else None
    if projector is None:
        _check_weights(config, folder)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            asked = objective.teacher_arguments(config, card)
            model = create_vit(config.architecture, asked, pretrained=config.weights == "pretrained")
    except Exception as error:
        if config.weights != "pretrained":
            raise
        raise InputError(
            f"extract_teacher.weights: the pretrained weights of {config.architecture!r} cannot be fetched ({error}); "
            "check the network, give the path of a safetensors file, or set weights to 'random'"
        ) from error
    check_supported(model)
    _check_size(model, objective)
    if projector is not None:
        return _of_projector(projector, TransformerSpec.of(model), objective, card)
    if config.weights == "pretrained":
        classifies = model.num_classes == published(config.architecture).num_classes
    elif config.weights == "random":
        classifies = False
        _spread_positions(model, config.seed)
    else:
        classifies = _load_weights(model, folder / config.weights)
    if not classifies and config.training.epochs == 0:
        raise InputError(
            f"extract_teacher.training.epochs: with 0 the head, of {model.num_classes} outputs, would stay as it "
            "starts, at random; train for 1 or more, or give weights that have such a head"
        )
    return model.eval()


def _of_projector(place: str, planned: TransformerSpec, objective: Objective, card: DatasetCard) -> VisionTransformer:
    """The teacher that a projector was trained for, with the classifier's rows of a data set's classes."""
    projector = load_projector(place)
    spec, taught = projector.operator.source.spec, projector.objective
    if not (isinstance(objective, Classification) and isinstance(taught, Classification)):
        raise InputError(
            f"extract_teacher.weights: {place} is a projector of {taught.name}, and the teacher is one of "
            f"{objective.name}; both must be of {Classification.name}"
        )
    if spec != planned:
        raise InputError(
            f"extract_teacher.weights: the teacher of {place} has {spec.describe_size()} and reads images of "
            f"{spec.describe_images()}, not {planned.describe_size()} and {planned.describe_images()}; set "
            "architecture and arguments to those of its teacher"
        )
    expected, given = [(list(one.mean), list(one.std)) for one in (taught, objective)]
    if expected != given:
        raise InputError(
            f"extract_teacher.normalisation: the teacher of {place} reads images with other mean and deviation; set it "
            f"to {{mean: {expected[0]}, std: {expected[1]}}}"
        )
    weights = told(spec, projector.operator.source_weights(), *pad_tasks([projector.class_ids(card.classes)]))
    return export_student(
        spec, {name: tensor[0] for name, tensor in weights.items()}, objective.input_settings(card.classes)
    )


def planned_spec(config: ExtractTeacherConfig) -> TransformerSpec:
    """The shape of the teacher that a config asks for, without building it.

    Raises:
        InputError: the architecture is unknown or cannot be projected, or its arguments do not fit.
    """
    check_architecture(config.architecture)
    try:
        with torch.device("meta"):
            model = create_vit(config.architecture, planned_arguments(config))
        check_supported(model)
        spec = TransformerSpec.of(model)
        OBJECTIVES[config.objective.name].check_teacher(spec)
        return spec
    except InputError:
        raise
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"extract_teacher.arguments: timm cannot build {config.architecture!r} with {dict(config.arguments)} "
            f"({error}); correct or leave out what it does not take"
        ) from error


@torch.no_grad()
def _spread_positions(model: VisionTransformer, seed: int) -> None:
    """Initialise positions as large as embedded patches, so that attention tells positions apart from the first step.

    timm's init is 0.02, from which a short training on a small data set does not recover: on digits, 20 epochs end with
    83 % of the validation images instead of 96 %.
    """
    if model.pos_embed is not None:
        model.pos_embed.normal_(std=POSITION_STD, generator=torch.Generator().manual_seed(seed))


def _check_weights(config: ExtractTeacherConfig, folder: Path) -> None:
    """Refuse what is neither a word for weights nor a file, before anything is built."""
    words = ("random", "pretrained")
    path = folder / config.weights
    if config.weights in words or (path.is_file() and path.suffix == ".safetensors"):
        return
    if path.is_file():
        raise InputError(
            f"extract_teacher.weights: {path} is not a .safetensors file, the only kind that is read; save the state "
            "dict with safetensors.torch.save_file"
        )
    mend = "give an existing .safetensors file, 'pretrained', 'random' or 'projector:PLACE'"
    hint = did_you_mean(config.weights, words, otherwise=mend)
    raise InputError(f"extract_teacher.weights: there is no file {path}; {hint}")


def _check_size(model: VisionTransformer, objective: Objective) -> None:
    image_size = objective.blank(1).shape[-2:]
    taken, patch = list(model.patch_embed.img_size), model.patch_embed.patch_size[0]
    if taken != list(image_size):
        raise InputError(
            f"extract_teacher.arguments.img_size: {taken[0]}x{taken[1]} is not the size of the images, "
            f"{image_size[0]}x{image_size[1]}; leave it out or change the images' size in split_tasks"
        )
    if any(side % patch for side in image_size):
        raise InputError(
            f"extract_teacher.arguments.patch_size: images of {image_size[0]}x{image_size[1]} do not divide into "
            f"patches of {patch}x{patch}; choose a divisor of the image size"
        )


def _load_weights(model: VisionTransformer, path: Path) -> bool:
    """Load a timm state dict; a classifier of another number of classes keeps its random init. Whether it does not."""
    weights = read_safetensors(path)
    own = model.state_dict()
    head = weights.get("head.weight")
    fits = head is not None and len(head) == model.num_classes
    if not fits:
        there = "no" if head is None else len(head)
        logger.info("%s has %s classes, not %d: the classifier starts at random", path, there, model.num_classes)
        weights |= {name: own[name] for name in ("head.weight", "head.bias")}
    try:
        load_weights(model, weights)
    except InputError as error:
        raise InputError(
            f"extract_teacher.weights: {path} does not fit, {error}; set architecture and arguments to those of the "
            "checkpoint"
        ) from error
    return fits
