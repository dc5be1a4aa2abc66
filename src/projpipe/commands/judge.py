"""How often a projector's models are right on test images, group by group of its classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from projpipe.commands.classify import BATCH_SIZE, labelled_pictures
from projpipe.commands.output import progress
from projpipe.errors import InputError
from projpipe.images.pictures import read_picture
from projpipe.projection.projector import Projector
from projpipe.projection.projector_card import Judged
from projpipe.transformer.spec import TransformerSpec

Answers = Callable[[np.ndarray], Tensor]  # pictures uint8 [N, H, W, C] to positions [N] among the classes asked for
Judgeable = Callable[[Sequence[str]], Answers]


def students_of(projector: Projector, size: TransformerSpec) -> Judgeable:
    """The models of a size, by what classes they are asked for."""

    def asked(classes: Sequence[str]) -> Answers:
        student = projector.student(classes, size=size)
        return lambda pictures: student.logits(student.objective.encode(pictures)).argmax(-1)

    return asked


def teacher_of(projector: Projector) -> Judgeable:
    """The source, whose answer is the likeliest of the classes that are asked for."""

    def asked(classes: Sequence[str]) -> Answers:
        teacher = projector.teacher(classes)
        return lambda pictures: teacher(projector.of_pictures.encode(pictures)).argmax(-1)

    return asked


def judge(projector: Projector, judged: Mapping[str, Judgeable], image_folder: Path) -> list[Judged]:
    """Judge models on the pictures of a folder, `<class>/*` or `<group>/<class>/*`, by group of two classes or more.

    Where the data have no groups, all classes are one.

    Raises:
        InputError: a picture cannot be read, or there are too few classes of which there are any.
    """
    labelled, _ = labelled_pictures(image_folder, projector.classes)
    there = {class_id for _, class_id in labelled}
    groups = projector.data.get("groups") or []
    named = [group or "other" for group in groups] if any(groups) else ["all classes"] * len(projector.classes)
    of_groups: dict[str, list[int]] = {name: [] for name in sorted(set(named))}
    for class_id in sorted(there):
        of_groups[named[class_id]].append(class_id)
    found = []
    tasks = [(group, ids) for group, ids in of_groups.items() if len(ids) > 1]
    with progress(tasks, "evaluate") as shown:
        for group, ids in shown:
            paths = [(path, ids.index(class_id)) for path, class_id in labelled if class_id in ids]
            found.append(_judge(projector, judged, group, [projector.classes[one] for one in ids], paths))
    if not found:
        raise InputError(f"{image_folder}: has pictures of {len(there)} classes, of no group two; give more")
    return found


def _judge(
    projector: Projector,
    judged: Mapping[str, Judgeable],
    group: str,
    classes: list[str],
    pictures: Sequence[tuple[Path, int]],
) -> Judged:
    """Judge models of one group's classes on its pictures, each with its position among the classes."""
    spec, right = projector.operator.source.spec, Counter[str]()
    read = partial(read_picture, image_size=spec.image_size, grey=spec.in_chans == 1)
    models = {name: asked(classes) for name, asked in judged.items()}
    for start in range(0, len(pictures), BATCH_SIZE):
        batch = pictures[start : start + BATCH_SIZE]
        images, targets = np.stack([read(path) for path, _ in batch]), np.array([target for _, target in batch])
        for name, answers in models.items():
            right[name] += int((answers(images).numpy() == targets).sum())
    return Judged(group, classes, len(pictures), {name: right[name] for name in models})
