"""Pictures through a small model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from torch import Tensor

from projpipe.errors import InputError
from projpipe.images.pictures import read_picture
from projpipe.objectives import Classification
from projpipe.students.student import Student, load_student

BATCH_SIZE = 64


def load_classifier(folder: Path) -> Student:
    """Read a model's folder.

    Raises:
        InputError: it cannot be read, or the model is no classifier.
    """
    student = load_student(folder)
    if not isinstance(student.objective, Classification):
        raise InputError(
            f"{folder}: this model draws images and does not tell classes apart; use one of a classification "
            "projector, or `projpipe sample`"
        )
    return student


def classify(student: Student, paths: Sequence[Path], label: str) -> Iterator[Tensor]:
    """Probabilities `[K]` of a model's classes for each picture; shows a bar with a label where there are many.

    Raises:
        InputError: a picture cannot be read.
    """
    spec = student.spec
    batches = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
    with click.progressbar(batches, label=label, hidden=len(batches) == 1, file=sys.stderr) as shown:
        for batch in shown:
            pictures = np.stack([read_picture(path, spec.image_size, grey=spec.in_chans == 1) for path in batch])
            yield from student.logits(student.objective.encode(pictures)).softmax(-1)
