"""The teacher's card: how it was made, of which images, and what it scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from projpipe.record import from_json, to_json


@dataclass(frozen=True)
class TeacherCard:
    """What is known of a teacher without reading it.

    Args:
        architecture, arguments: what timm built it from.
        weights: what it started from: `random`, `pretrained`, the path of a checkpoint or `projector:` and its place.
        license: of pretrained weights, where timm knows it.
        params: how many it has.
        metric: what it is judged by.
        score: on each split.
        dataset_sha256: of the data set card.
        data: the part of that card that decides what the teacher reads.
        training: the parameters it was trained with.
        versions: of the packages that made it.
    """

    architecture: str
    arguments: Mapping[str, object]
    weights: str
    license: str | None
    params: int
    metric: str
    score: Mapping[str, float]
    dataset_sha256: str
    data: Mapping[str, object]
    training: Mapping[str, object]
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        """The content of `teacher.json`."""
        return to_json(self)

    @classmethod
    def from_json(cls, described: object) -> TeacherCard:
        """Read back what `to_json` gave; an InputError names the key that is not as it should be."""
        return from_json(cls, described)
