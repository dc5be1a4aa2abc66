"""`projpipe generate`: models for one task or for a whole table of them."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from projpipe.cli.task_list import NamedTask
    from projpipe.projection.projector_folder import Projector


@click.command()
@click.argument("projector", type=click.Path(path_type=Path))
@click.option("--classes", help="Names with commas between them; put one that holds a comma in double quotes.")
@click.option("--classes-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="One name a line.")
@click.option("--group", help="All classes of a group, such as an alphabet.")
@click.option(
    "--tasks",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Many models at once: a CSV or Parquet file with the columns name and classes.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write, which must not exist yet."
)
@click.option("--force", is_flag=True, help="Replace the folder if it holds models.")
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

    Its folder is read by timm.create_model("local-dir:FOLDER"). With --tasks, OUT holds a folder for each task and
    models.csv, which lists them.
    """
    given = [option for option in (classes, classes_file, group, tasks) if option is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --classes, --classes-file, --group and --tasks")
    from projpipe.atomic import write_atomically
    from projpipe.cli.output import check_out
    from projpipe.cli.task_list import parse_names, read_tasks
    from projpipe.projection.projector_folder import load_projector

    check_out(out, force)
    loaded = load_projector(projector)
    if tasks is not None:
        listed = read_tasks(tasks, loaded.classes)
        for task in listed:
            loaded.class_ids(task.classes)  # refuses before anything is written
        with write_atomically(out) as temporary:
            temporary.mkdir()
            _generate_all(loaded, listed, temporary, onnx)
        click.echo(f"{len(listed)} models in {out}")
        return
    if classes_file is not None:
        names = [line.strip() for line in classes_file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    else:
        names = loaded.group(group) if group is not None else parse_names(classes or "")
    started = time.perf_counter()
    student = loaded.student(names)
    milliseconds = 1000 * (time.perf_counter() - started)
    with write_atomically(out) as temporary:
        student.write(temporary)
        if onnx:
            _write_onnx(temporary)
    params = student.spec.deployed_params(len(names))
    click.echo(f"{out}: {len(names)} classes, {params:,} parameters, made in {milliseconds:.1f} ms")


def _generate_all(projector: Projector, tasks: list[NamedTask], out: Path, onnx: bool) -> None:
    """Write a folder for each task, and the list of them."""
    with click.progressbar(tasks, label="generate", file=sys.stderr) as shown:
        for task in shown:
            projector.student(task.classes).write(out / task.folder)
            if onnx:
                _write_onnx(out / task.folder)
    with (out / "models.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(_listing(tasks))


def _listing(tasks: list[NamedTask]) -> Iterator[list[str]]:
    from projpipe.cli.task_list import format_names

    yield ["folder", "name", "classes"]
    for task in tasks:
        yield [task.folder, task.name, format_names(task.classes)]


def _write_onnx(folder: Path) -> None:
    from projpipe.transformer.onnx_file import write_onnx
    from projpipe.transformer.student import load_student

    write_onnx(load_student(folder).to_timm(), folder / "model.onnx")
