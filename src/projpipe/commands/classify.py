"""Pictures through a small model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unicodedata import normalize

import click
import numpy as np
import torch
from torch import Tensor

from projpipe.commands.output import progress
from projpipe.errors import InputError
from projpipe.images.pictures import find_pictures, read_picture
from projpipe.students.onnx_file import read_onnx
from projpipe.students.student import Student, load_student

BATCH_SIZE = 64
Labelled = tuple[Path, int]  # a picture, and the position of its class


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture: probabilities `[K]` of its classes, and whether it takes it for none of them."""

    probabilities: Tensor
    none_of_these: bool


def load_classifier(folder: Path, device: str = "cpu") -> Student:
    """Read a model's folder, with its weights on a device.

    Raises:
        InputError: it cannot be read, or there is no such device.
    """
    student, place = load_student(folder), find_device(device)
    return replace(student, weights={name: tensor.to(place) for name, tensor in student.weights.items()})


@dataclass(frozen=True)
class OfOnnx(Student):
    """A model whose answers are those of its ONNX file."""

    run: Callable[[Tensor], Tensor] = field(kw_only=True)

    def logits(self, images: Tensor) -> Tensor:
        """Encoded images `[N, ...]` to logits `[N, K]`, as the file computes them."""
        return self.run(images)

    def _logits_of(self, images: Tensor, read: Tensor) -> Tensor:
        """Those of the file, which gives no features: these are of the folder's weights."""
        return self.run(images)


def of_onnx(student: Student, path: Path) -> Student:
    """The same model, as its ONNX file.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    return OfOnnx(**vars(student), run=read_onnx(path))


def find_device(name: str) -> torch.device:
    """A device that computes.

    Raises:
        InputError: there is none of this name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).tolist()
    except Exception as error:  # torch's backends raise nearly anything
        raise InputError(f"--device: {name!r} is not there ({error}); give cpu, or another that torch has") from error
    return device


def labelled_pictures(folder: Path, classes: Sequence[str]) -> tuple[list[Labelled], int]:
    """Pictures of these classes, <class>/* or <group>/<class>/* of a folder, and how many are of others.

    Raises:
        InputError: there is none of these classes.
    """
    class_ids = {normalize("NFC", name): class_id for class_id, name in enumerate(classes)}
    pictures = find_pictures([str(folder)])
    labelled = [(path, normalize("NFC", path.parent.relative_to(folder).as_posix())) for path in pictures]
    known = [(path, class_ids[name]) for path, name in labelled if name in class_ids]
    if not known:
        raise InputError(
            f"{folder}: has no folder named after a class of the model ({', '.join(classes[:5])}); "
            f"it has {', '.join(sorted({name for _, name in labelled} - {'.'})[:5]) or 'none'}"
        )
    return known, len(labelled) - len(known)


def other_pictures(folder: Path, classes: Sequence[str]) -> list[Path]:
    """Pictures of a folder that lie in none named after one of these classes; says how many do.

    Raises:
        InputError: there is none.
    """
    known = {part for name in classes for part in (normalize("NFC", name), normalize("NFC", name).rpartition("/")[2])}
    pictures = find_pictures([str(folder)])
    others = [path for path in pictures if normalize("NFC", path.absolute().parent.name) not in known]
    if not others:
        raise InputError(f"--others: all pictures of {folder} are of classes of the model; give some of anything else")
    if of_own := len(pictures) - len(others):
        click.echo(f"Left out {of_own} pictures of the model's own classes from the others.", err=True)
    return others


def classify(
    folder: Path,
    student: Student,
    paths: Sequence[Path],
    label: str,
    strict: bool,
    batch_size: int = BATCH_SIZE,
    quiet: bool = False,
) -> Iterator[Answer | InputError]:
    """What a model says of each picture, or why it cannot be read.

    Shows a bar with a label on a terminal where there are many, if not `quiet`. The folder is that of the model, for
    errors. No more pictures than a batch are in memory.

    Raises:
        InputError: a picture cannot be read, and `strict` is on; or an answer is infinite or no number.
    """
    starts = range(0, len(paths), batch_size)
    with progress(starts, label, quiet) as shown:
        for start in shown:
            pictures = [read_or_error(student, path, strict) for path in paths[start : start + batch_size]]
            readable = [picture for picture in pictures if isinstance(picture, np.ndarray)]
            answers = iter(_answers(folder, student, readable) if readable else ())
            yield from (picture if isinstance(picture, InputError) else next(answers) for picture in pictures)


def right_answers(
    folder: Path, student: Student, labelled: Sequence[Labelled], label: str, strict: bool
) -> list[bool | str]:
    """Whether a model is right about each picture, or why that cannot be read; positions are those of its classes."""
    found = classify(folder, student, [path for path, _ in labelled], label, strict)
    return [
        str(answer) if isinstance(answer, InputError) else int(answer.probabilities.argmax()) == class_id
        for (_, class_id), answer in zip(labelled, found, strict=True)
    ]


def _answers(folder: Path, student: Student, pictures: Sequence[np.ndarray]) -> list[Answer]:
    encoded = student.objective.encode(np.stack(pictures))
    logits, evidence = (found.cpu() for found in student.answers(encoded.to(student.weights["pos"].device)))
    if not logits.isfinite().all():
        raise no_number(folder)
    threshold = -math.inf if student.energy_threshold is None else student.energy_threshold
    none = (evidence < threshold).tolist()
    return [Answer(of_picture, said) for of_picture, said in zip(logits.softmax(-1), none, strict=True)]


def no_number(folder: Path) -> InputError:
    """What is said of a model, of this folder, that gives logits which are infinite or no numbers."""
    return InputError(
        f"{folder}: an answer of this model is infinite or no number, as its weights are too large; make it again "
        "with `projpipe generate`, or fetch it again"
    )


def read_or_error(student: Student, path: Path, strict: bool) -> np.ndarray | InputError:
    """A picture as a model reads it, uint8 `[H, W, C]`, or why it cannot be read, which `strict` raises."""
    try:
        return read_picture(path, student.spec.image_size, grey=student.spec.in_chans == 1)
    except InputError as error:
        if strict:
            raise
        return error


def end_with(unreadable: Sequence[str]) -> None:
    """Name the pictures that could not be read, if there are any, and end the command as bad input does."""
    for error in unreadable:
        click.echo(f"Error: {error}", err=True)
    if unreadable:
        click.get_current_context().exit(2)
