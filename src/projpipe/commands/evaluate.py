"""`projpipe evaluate`: how often a model is right on pictures whose classes are known."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.commands.arguments import Folder, as_json, strict
from projpipe.errors import InputError, printable


@click.command()
@click.argument("model", type=Folder("model"))
@click.argument("image_folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@strict
@as_json
def evaluate(model: Path, image_folder: Path, strict: bool, as_json: bool) -> None:
    """Measure MODEL's accuracy on the pictures of its classes, IMAGE_FOLDER/<class>/* or .../<group>/<class>/*.

    Folders of other classes are left out. So is a picture that cannot be read, which is named; the exit code is 2 then.

    \b
    projpipe evaluate model pictures
    """
    from projpipe.commands.classify import end_with, labelled_pictures, load_classifier, right_answers
    from projpipe.commands.output import show

    student = load_classifier(model)
    known, left_out = labelled_pictures(image_folder, student.classes)
    right = dict.fromkeys(student.classes, 0)
    images = dict.fromkeys(student.classes, 0)
    unreadable: list[str] = []
    for (_, class_id), answer in zip(known, right_answers(model, student, known, "evaluate", strict), strict=True):
        if isinstance(answer, str):
            unreadable.append(answer)
            continue
        images[student.classes[class_id]] += 1
        right[student.classes[class_id]] += answer
    if not (count := sum(images.values())):
        raise InputError(f"{image_folder}: no picture of a class of the model can be read, such as {unreadable[0]}")
    accuracy = {name: right[name] / images[name] for name in student.classes if images[name]}
    overall = sum(right.values()) / count
    found = {
        "images": count,
        "accuracy": round(overall, 6),
        "classes": {name: {"images": images[name], "accuracy": round(share, 6)} for name, share in accuracy.items()},
        "left_out": left_out,
        "unreadable": len(unreadable),
    }
    rows = [["class", "images", "accuracy"]]
    rows += [[name, str(images[name]), f"{100 * share:.1f} %"] for name, share in accuracy.items()]
    rows += [["all", str(count), f"{100 * overall:.1f} %"]]
    show(found, as_json, rows)
    if left_out:
        click.echo(f"Left out {left_out} pictures of other classes.", err=True)
    if missing := [name for name in student.classes if not images[name]]:
        click.echo(printable(f"No picture of {', '.join(missing)}."), err=True)
    end_with(unreadable)
