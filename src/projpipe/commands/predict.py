"""`projpipe predict`: what a model says of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to name.")
@click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be read.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def predict(model: Path, images: tuple[str, ...], top: int, strict: bool, as_json: bool) -> None:
    """Say which classes MODEL sees in IMAGES: files, folders or patterns in quotes, such as 'photos/*.png'.

    A picture that cannot be read is named, and the exit code is 2 then.
    """
    from projpipe.commands.classify import classify, end_with, load_classifier
    from projpipe.commands.output import show
    from projpipe.errors import InputError
    from projpipe.images.pictures import find_pictures

    student = load_classifier(model)
    paths = find_pictures(images)
    found: list[dict[str, Any]] = []
    unreadable: list[InputError] = []
    for path, probabilities in zip(paths, classify(model, student, paths, "predict", strict), strict=True):
        if isinstance(probabilities, InputError):
            unreadable.append(probabilities)
            continue
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
    end_with(unreadable)
