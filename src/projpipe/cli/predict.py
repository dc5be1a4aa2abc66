"""`projpipe predict`: what a model says of pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import Tensor

    from projpipe.transformer.student import Student

BATCH_SIZE = 64


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
def predict(model: Path, images: tuple[str, ...], top: int, as_json: bool) -> None:
    """Say which classes MODEL sees in IMAGES: files, folders or patterns in quotes, such as 'photos/*.png'."""
    from projpipe.cli.output import show
    from projpipe.images.pictures import find_pictures
    from projpipe.transformer.student import load_student

    student = load_student(model)
    paths = find_pictures(images)
    found: list[dict[str, Any]] = []
    for path, probabilities in zip(paths, probabilities_of(student, paths), strict=True):
        best = probabilities.topk(min(top, len(student.classes)))
        named = [
            {"class": student.classes[class_id], "probability": round(probability, 6)}
            for probability, class_id in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        found.append({"image": str(path), "predictions": named})
    rows = [
        [one["image"], *(f"{named['class']} {100 * named['probability']:.1f} %" for named in one["predictions"])]
        for one in found
    ]
    show(found, as_json, rows)


def probabilities_of(student: Student, paths: Sequence[Path]) -> Iterator[Tensor]:
    """Probabilities `[K]` of a model's classes for each picture, with a progress bar where there are many.

    Raises:
        InputError: a picture cannot be read.
    """
    import numpy as np

    from projpipe.images.normalisation import normalise
    from projpipe.images.pictures import read_picture

    spec = student.spec
    batches = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
    hidden = len(batches) == 1
    with click.progressbar(batches, label="predict", hidden=hidden, file=sys.stderr) as shown:
        for batch in shown:
            pictures = np.stack([read_picture(path, spec.image_size, grey=spec.in_chans == 1) for path in batch])
            yield from student.logits(normalise(pictures, student.mean, student.std)).softmax(-1)
