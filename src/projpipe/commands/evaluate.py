"""`projpipe evaluate`: how often a model is right on pictures whose classes are known."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.commands.arguments import Folder, as_json, strict
from projpipe.errors import InputError, printable
from projpipe.manifest import INT8, ONNX

OF_ONNX = {"onnx": ONNX, "int8": INT8}


@click.command(short_help="Measure a model's accuracy on labelled pictures.")
@click.argument("model", type=Folder("model", draws=False))
@click.argument("image_folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--others",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Pictures of anything else: how often MODEL says `none of these`. Folders of its own classes are left out.",
)
@click.option(
    "--format",
    "of",
    type=click.Choice(["torch", *OF_ONNX]),
    default="torch",
    show_default=True,
    help=f"What is judged: MODEL itself, or its {OF_ONNX['onnx']} or {OF_ONNX['int8']} in ONNX Runtime.",
)
@strict
@as_json
def evaluate(model: Path, image_folder: Path, others: Path | None, of: str, strict: bool, as_json: bool) -> None:
    """Measure MODEL's accuracy on the pictures of its classes, IMAGE_FOLDER/<class>/* or .../<group>/<class>/*.

    Of each picture the likeliest class counts. Folders of other classes are left out. So is a picture that cannot be
    read, which is named; the exit code is 2 then.

    \b
    projpipe evaluate model pictures
    projpipe evaluate model pictures --format int8
    """
    from projpipe.commands.classify import (
        classify,
        end_with,
        labelled_pictures,
        load_classifier,
        of_onnx,
        other_pictures,
    )
    from projpipe.commands.output import show

    student = load_classifier(model)
    if of in OF_ONNX:
        student = of_onnx(student, model / OF_ONNX[of])
    if others is not None and student.energy_threshold is None:
        raise InputError(
            f"--others: {model} has no energy threshold; make it anew, of a projector whose sizes `kedro run "
            "--pipelines sweep_students` has measured"
        )
    known, left_out = labelled_pictures(image_folder, student.classes)
    right = dict.fromkeys(student.classes, 0)
    images = dict.fromkeys(student.classes, 0)
    unreadable: list[str] = []
    none_of_own: list[bool] = []
    answers = classify(model, student, [path for path, _ in known], "evaluate", strict)
    for (_, class_id), answer in zip(known, answers, strict=True):
        if isinstance(answer, InputError):
            unreadable.append(str(answer))
            continue
        images[student.classes[class_id]] += 1
        right[student.classes[class_id]] += int(answer.probabilities.argmax()) == class_id
        none_of_own.append(answer.none_of_these)
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
    if others is not None:
        said = list(classify(model, student, other_pictures(others, student.classes), "others", strict))
        unreadable += [str(answer) for answer in said if isinstance(answer, InputError)]
        none_of_others = [answer.none_of_these for answer in said if not isinstance(answer, InputError)]
        if not none_of_others:
            raise InputError(f"--others: no picture of {others} can be read, such as {unreadable[-1]}")
        shares = {"own": _share(none_of_own), "others": _share(none_of_others)}
        found |= {"none_of_these": shares, "other_images": len(none_of_others), "unreadable": len(unreadable)}
        rows += [["none of these, of these", str(count), f"{100 * shares['own']:.1f} %"]]
        rows += [["none of these, of others", str(len(none_of_others)), f"{100 * shares['others']:.1f} %"]]
    show(found, as_json, rows)
    if left_out:
        click.echo(f"Left out {left_out} pictures of other classes.", err=True)
    if missing := [name for name in student.classes if not images[name]]:
        click.echo(printable(f"No picture of {', '.join(missing)}."), err=True)
    end_with(unreadable)


def _share(said: list[bool]) -> float:
    return round(sum(said) / len(said), 6)
