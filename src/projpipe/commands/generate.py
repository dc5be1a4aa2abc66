"""`projpipe generate`: models for one task or for a whole table of them."""

from __future__ import annotations

import csv
import hashlib
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from projpipe.commands.task_list import NamedTask
    from projpipe.projection.projector import Projector
    from projpipe.students.student import Student

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("projector", type=click.Path(path_type=Path))
@click.option("--classes", help="Names with commas between them; put one that holds a comma in double quotes.")
@click.option("--classes-file", type=FILE, help="One name a line.")
@click.option("--group", help="All classes of a group, such as an alphabet.")
@click.option("--tasks", type=FILE, help="Many models: a CSV or Parquet file with the columns name and classes.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace the folder if projpipe generate wrote all of it.")
@click.option("--onnx", is_flag=True, help="Write model.onnx besides (needs the extra 'onnx').")
def generate(
    projector: Path,
    classes: str | None,
    classes_file: Path | None,
    group: str | None,
    tasks: Path | None,
    out: Path,
    force: bool,
    onnx: bool,
) -> None:
    """Make a model for the given classes out of PROJECTOR, the folder of a trained one.

    Its folder is read by timm.create_model("local-dir:FOLDER", pretrained=True). With --tasks, OUT holds a folder for
    each task and models.csv, which lists them.
    """
    given = [option for option in (classes, classes_file, group, tasks) if option is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --classes, --classes-file, --group and --tasks")
    from projpipe.commands.output import holds_models, output
    from projpipe.commands.task_list import parse_names, read_names, read_tasks
    from projpipe.errors import InputError, printable
    from projpipe.projection.projector_folder import load_projector

    foreign = "holds more than what `projpipe generate` wrote"
    key = None if tasks is None else _key(projector, tasks, onnx)
    with output(out, force, holds_models, foreign, "folder", key) as temporary:
        loaded = load_projector(projector)
        if onnx and loaded.objective.samples:
            raise InputError("--onnx: is for classifiers, and this projector makes image models; leave it out")
        if tasks is not None:
            listed = read_tasks(tasks, loaded)
            _generate_all(projector, loaded, listed, temporary, onnx)
            said = f"{len(listed)} models in {out}"
        else:
            if classes_file is not None:
                names = read_names(classes_file)
            else:
                names = loaded.group(group) if group is not None else parse_names(classes or "", "--classes")
            started = time.perf_counter()
            student = loaded.student(names)
            milliseconds = 1000 * (time.perf_counter() - started)
            _write(projector, student, temporary, onnx)
            params = student.spec.deployed_params(len(names))
            counted = f"{len(names)} class{'es' * (len(names) > 1)}"
            said = f"{out}: {counted}, {params:,} parameters, made in {milliseconds:.0f} ms"
    click.echo(printable(said))


def _key(projector: Path, tasks: Path, onnx: bool) -> str:
    """Names what a command makes by all that decides it; a file that cannot be read is refused where it is used."""
    from projpipe import __version__
    from projpipe.manifest import MANIFEST
    from projpipe.record import regular_file

    digest = hashlib.sha256(f"{__version__} {onnx}".encode())
    for path in (projector / MANIFEST, tasks):
        with suppress(OSError), regular_file(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _generate_all(folder: Path, projector: Projector, tasks: list[NamedTask], out: Path, onnx: bool) -> None:
    """Write a folder for each task, but for those that are there already, and the list of them."""
    from projpipe.commands.output import COLUMNS, LISTING, quote_cell
    from projpipe.commands.task_list import format_names
    from projpipe.students.student import is_whole

    with click.progressbar(tasks, label="generate", file=sys.stderr) as shown:
        for task in shown:
            if not is_whole(out / task.folder):
                _write(folder, projector.student(task.classes), out / task.folder, onnx)
    with (out / LISTING).open("w", encoding="utf-8", newline="") as file:
        rows = [[task.folder, task.name, format_names(task.classes)] for task in tasks]
        csv.writer(file).writerows([COLUMNS, *(map(quote_cell, row) for row in rows)])


def _write(projector: Path, student: Student, folder: Path, onnx: bool) -> None:
    """Write a model's folder, all of it or nothing."""
    if not onnx:
        _save(projector, student, folder)
        return
    from projpipe.atomic import write_atomically
    from projpipe.students.onnx_file import write_onnx

    with write_atomically(folder, durable=False) as temporary:
        _save(projector, student, temporary)
        write_onnx(student.to_timm(), temporary / "model.onnx")


def _save(projector: Path, student: Student, folder: Path) -> None:
    """Write a model's folder but for its ONNX file; what is wrong with the model is said of its projector."""
    from projpipe.errors import InputError

    try:
        student.save(folder)
    except InputError as error:
        raise InputError(f"{projector}: makes no model of these classes ({error}); train or fetch it again") from error
