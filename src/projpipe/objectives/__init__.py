"""What models learn to do with images: the one place where that differs.

Everything else (pipelines, projector, training loop, sweep, evaluation, report) asks an objective for its part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from projpipe.objectives.classification import Classification
from projpipe.objectives.image_modeling import ImageModeling

if TYPE_CHECKING:
    import numpy as np

    from projpipe.config import ExtractTeacherConfig
    from projpipe.images.streamed import Images

__all__ = [
    "OBJECTIVES",
    "Classification",
    "ImageModeling",
    "Objective",
    "make_objective",
    "objective_from_json",
]

Objective = Classification | ImageModeling
OBJECTIVES: dict[str, type[Classification] | type[ImageModeling]] = {
    kind.name: kind for kind in (Classification, ImageModeling)
}


def make_objective(
    config: ExtractTeacherConfig, images: Images, rows: np.ndarray, card: Mapping[str, Any]
) -> Objective:
    """The objective that a config asks for, fitted to the `rows` of images uint8 `[N, H, W, C]`, and their card.

    Raises:
        InputError: it does not fit the images.
    """
    return OBJECTIVES[config.objective.name].fit(config, images, rows, card)


def objective_from_json(described: Mapping[str, Any]) -> Objective:
    """Read back what `to_json` of an objective gave.

    Raises:
        KeyError, TypeError, ValueError: it describes none.
    """
    return OBJECTIVES[described["name"]].from_json(described)
