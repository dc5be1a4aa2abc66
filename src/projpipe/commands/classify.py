"""Pictures through a small model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

import click
import numpy as np
from torch import Tensor

from projpipe.errors import InputError
from projpipe.images.pictures import find_pictures, read_picture
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


def labelled_pictures(image_folder: Path, classes: Sequence[str]) -> tuple[list[tuple[Path, int]], int]:
    """Pictures of `<class>/*` and `<group>/<class>/*` with the positions of their classes, and how many are of others.

    Raises:
        InputError: there is no picture of any of the classes.
    """
    class_ids = {normalize("NFC", name): class_id for class_id, name in enumerate(classes)}
    pictures = find_pictures([str(image_folder)])
    labelled = [(path, normalize("NFC", path.parent.relative_to(image_folder).as_posix())) for path in pictures]
    known = [(path, class_ids[name]) for path, name in labelled if name in class_ids]
    if not known:
        raise InputError(
            f"{image_folder}: has no folder named after a class of the model ({', '.join(classes[:5])}); "
            f"it has {', '.join(sorted({name for _, name in labelled} - {'.'})[:5]) or 'none'}"
        )
    return known, len(labelled) - len(known)


def classify(
    folder: Path, student: Student, paths: Sequence[Path], label: str, strict: bool
) -> Iterator[Tensor | InputError]:
    """Probabilities `[K]` of a model's classes for each picture, or why it cannot be read.

    Shows a bar with a label where there are many. The folder is that of the model, for errors.

    Raises:
        InputError: a picture cannot be read, and `strict` is on; or an answer is infinite or no number.
    """
    batches = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
    with click.progressbar(batches, label=label, hidden=len(batches) == 1, file=sys.stderr) as shown:
        for batch in shown:
            pictures = [_read(student, path, strict) for path in batch]
            readable = [picture for picture in pictures if isinstance(picture, np.ndarray)]
            answers = iter(_probabilities(folder, student, readable) if readable else ())
            yield from (picture if isinstance(picture, InputError) else next(answers) for picture in pictures)


def _probabilities(folder: Path, student: Student, pictures: Sequence[np.ndarray]) -> Tensor:
    logits = student.logits(student.objective.encode(np.stack(pictures)))
    if not logits.isfinite().all():
        raise no_number(folder)
    return logits.softmax(-1)


def no_number(folder: Path) -> InputError:
    """What is said of a model, of this folder, that gives logits which are infinite or no numbers."""
    return InputError(
        f"{folder}: an answer of this model is infinite or no number, as its weights are too large; make it again "
        "with `projpipe generate`, or fetch it again"
    )


def _read(student: Student, path: Path, strict: bool) -> np.ndarray | InputError:
    try:
        return read_picture(path, student.spec.image_size, grey=student.spec.in_chans == 1)
    except InputError as error:
        if strict:
            raise
        return error


def end_with(unreadable: Sequence[InputError]) -> None:
    """Name the pictures that could not be read, if there are any, and end the command as bad input does."""
    for error in unreadable:
        click.echo(f"Error: {error}", err=True)
    if unreadable:
        click.get_current_context().exit(2)
