"""`projpipe predict`: what a model says of pictures."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from projpipe.commands.arguments import Folder, as_json, device, strict
from projpipe.errors import InputError

STREAMED = ("csv", "jsonl")
Found = dict[str, Any]  # of a picture: its path, and classes with their probabilities, as JSON has them


@click.command(short_help="Say which classes a model sees in pictures.")
@click.argument("model", type=Folder("model", draws=False))
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to name.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", *STREAMED]),
    default="table",
    show_default=True,
    help="csv and jsonl, JSON a line, are printed batch by batch.",
)
@click.option("--batch-size", type=click.IntRange(1, 2**16), default=64, show_default=True, help="Pictures at once.")
@click.option("--no-unknown", is_flag=True, help="Never say `none of these`.")
@device
@strict
@as_json
def predict(
    model: Path,
    images: tuple[str, ...],
    top: int,
    form: str,
    batch_size: int,
    no_unknown: bool,
    device: str,
    strict: bool,
    as_json: bool,
) -> None:
    """Say which classes MODEL sees in IMAGES: files, folders or patterns in quotes, such as 'photos/*.png'.

    IMAGES may be -, which reads paths from standard input, one a line. A picture that cannot be read is named, and the
    exit code is 2 then.

    What is of no class of MODEL's is said to be `none of these`, as far as MODEL can tell; classes are named all the
    same. One in ten to twenty pictures of its classes is taken for none of these too.

    \b
    projpipe predict model photos --top 1 --format csv > answers.csv
    find photos -type f | projpipe predict model - --format jsonl
    """
    form = "json" if as_json else form
    paths, unreadable = _every_path(images, strict)
    from projpipe.commands.classify import classify, end_with, load_classifier
    from projpipe.commands.output import show

    student = load_classifier(model, device)
    top = min(top, len(student.classes))
    quiet = form in STREAMED and sys.stdout.isatty()  # lines and a bar would run into each other there
    if no_unknown:
        student = replace(student, energy_threshold=None)
    answers = classify(model, student, paths, "predict", strict, batch_size, quiet)

    def found() -> Iterator[Found]:
        for path, answer in zip(paths, answers, strict=True):
            if isinstance(answer, InputError):
                unreadable.append(str(answer))
                continue
            best = answer.probabilities.topk(top)
            named = [
                {"class": student.classes[class_id], "probability": round(probability, 6)}
                for probability, class_id in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
            yield {"image": str(path), "none_of_these": answer.none_of_these, "predictions": named}

    if form in STREAMED:
        _print_lines(found(), form, top)
    else:
        listed = list(found())
        unknown = any(one["none_of_these"] for one in listed)
        show(listed, form == "json", [_row(one, unknown) for one in listed])
    end_with(unreadable)


def _every_path(names: Sequence[str], strict: bool) -> tuple[list[Path], list[str]]:
    """The pictures of all names, and why some have none, which is raised where none has any or all have to."""
    paths: list[Path] = []
    wrong: list[str] = []
    for name in names:
        try:
            paths += _paths(name)
        except InputError as error:
            if strict:
                raise
            wrong.append(str(error))
    if not paths:
        raise InputError(wrong[0])
    return paths, wrong


def _paths(name: str) -> Sequence[Path]:
    """The pictures of a name; of - those of standard input, which are taken as they are."""
    from projpipe.images.pictures import find_pictures

    if name != "-":
        return find_pictures([name])
    listed = [Path(os.fsdecode(line.rstrip(b"\r\n"))) for line in sys.stdin.buffer if line.strip()]
    if not listed:
        raise InputError("-: standard input names no picture; give paths, one a line, as `find` prints them")
    return listed


def _row(one: Found, unknown: bool) -> list[str]:
    """A line of the table, with a column for `none of these` where any picture is."""
    none = ["none of these" if one["none_of_these"] else ""] if unknown else []
    named = (f"{each['class']} {100 * each['probability']:.1f} %" for each in one["predictions"])
    return [one["image"], *none, *named]


def _print_lines(found: Iterator[Found], form: str, top: int) -> None:
    """Print a line for each picture as soon as it is there."""
    from projpipe.commands.output import escaped, quote_cell

    def csv_line(cells: Sequence[str]) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(map(quote_cell, cells))
        return line.getvalue()

    if form == "csv":
        numbered = [f"{name}_{place}" for place in range(1, top + 1) for name in ("class", "probability")]
        click.echo(csv_line(["image", "none_of_these", *numbered]))
    for one in found:
        if form == "csv":
            named = [str(cell) for each in one["predictions"] for cell in each.values()]
            click.echo(csv_line([one["image"], json.dumps(one["none_of_these"]), *named]))
        else:
            click.echo(escaped(json.dumps(one, ensure_ascii=False)))
