"""Writing the teacher's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from projpipe.config import ExtractTeacherConfig
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.teacher.data import TeacherData
from projpipe.training.provenance import package_versions

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

READ = ("name", "mean", "std", "image_size", "channels", "classes")  # of the data set card


def describe_teacher(
    model: VisionTransformer, data: TeacherData, config: ExtractTeacherConfig, score: Mapping[str, float]
) -> TeacherCard:
    """The card of a teacher that was made and trained by a config, with its score on each split."""
    described = data.card.to_json()
    return TeacherCard(
        architecture=config.architecture,
        arguments=data.objective.teacher_arguments(config, data.card).arguments,
        weights=config.weights,
        license=model.pretrained_cfg.get("license"),
        params=sum(parameter.numel() for parameter in model.parameters()),
        metric=data.objective.metric.name,
        score={split: round(value, 6) for split, value in score.items()},
        dataset_sha256=data.card.sha256,
        data={key: described[key] for key in READ},
        training=config.model_dump(mode="json", include={"seed", "training", "augmentation"}),
        versions=package_versions(),
    )
