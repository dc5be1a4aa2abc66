"""What models learn to do with images: the one place where that differs.

Everything else (pipelines, projector, training loop, sweep, evaluation, report) asks an objective for its part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from projpipe.errors import InputError
from projpipe.objectives.classification import Classification
from projpipe.objectives.image_modeling import ImageModeling
from projpipe.record import from_json

if TYPE_CHECKING:
    import numpy as np

    from projpipe.config import ExtractTeacherConfig
    from projpipe.images.dataset_card import DatasetCard
    from projpipe.images.streamed import Images
    from projpipe.transformer.timm_folder import VitArguments

__all__ = [
    "OBJECTIVES",
    "Classification",
    "ImageModeling",
    "Objective",
    "make_objective",
    "objective_from_json",
    "planned_arguments",
]

Objective = Classification | ImageModeling
OBJECTIVES: dict[str, type[Classification] | type[ImageModeling]] = {
    kind.name: kind for kind in (Classification, ImageModeling)
}


def make_objective(config: ExtractTeacherConfig, images: Images, rows: np.ndarray, card: DatasetCard) -> Objective:
    """The objective that a config asks for, fitted to the `rows` of images uint8 `[N, H, W, C]`, and their card.

    Raises:
        InputError: it does not fit the images.
    """
    if config.objective.name == "image_modeling":
        return ImageModeling.fit(config.objective, config, images, rows, card)
    return Classification.fit(config, card)


def planned_arguments(config: ExtractTeacherConfig) -> VitArguments:
    """What makes the teacher that a config asks for, before data are known: of other images and classes.

    Raises:
        InputError: its arguments are not for the objective.
    """
    if config.objective.name == "image_modeling":
        return ImageModeling.planned_arguments(config.objective, config)
    return Classification.planned_arguments(config)


def objective_from_json(described: object, place: str = "") -> Objective:
    """Read back what `to_json` of an objective gave.

    Raises:
        InputError: it describes none; names the key that is missing, is not known or has another value than it may.
    """
    fields = dict(from_json(dict[str, object], described, place))
    name = fields.pop("name", None)
    kind = OBJECTIVES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"name: {str(name)[:40]!r} is no objective; there are {' and '.join(OBJECTIVES)}")
    return kind.from_json(fields, place)
