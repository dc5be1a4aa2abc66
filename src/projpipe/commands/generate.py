"""`projpipe generate`: models for one task or for a whole table of them."""

from __future__ import annotations

import csv
import hashlib
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from projpipe.commands.task_list import NamedTask
    from projpipe.projection.projector import Projector
    from projpipe.students.size_table import Limits
    from projpipe.students.student import Student
    from projpipe.transformer.spec import TransformerSpec

INT8 = "model.int8.onnx"
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("projector", type=click.Path(path_type=Path))
@click.option("--classes", help="Names with commas between them; put one that holds a comma in double quotes.")
@click.option("--classes-file", type=FILE, help="One name a line.")
@click.option("--group", help="All classes of a group, such as an alphabet.")
@click.option("--tasks", type=FILE, help="Many models: a CSV or Parquet file with the columns name and classes.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace the folder if projpipe generate wrote all of it.")
@click.option("--size", help="Width x depth, as 24x2, or with heads and hidden units, as 24x2x4x96.")
@click.option("--max-parameters", help="The best size with so many at most, as 50k.")
@click.option("--max-macs", help="The best size with so many multiply-accumulates an image at most, as 1M.")
@click.option("--max-latency", help="The best size whose forward pass takes so long here at most, as 2ms.")
@click.option("--batch", type=int, help="Images in a pass that --max-latency is of.  [default: 1]")
@click.option("--threads", type=int, help="Threads that compute it.  [default: 1]")
@click.option("--onnx", is_flag=True, help="Write model.onnx besides (needs the extra 'onnx').")
@click.option(
    "--quantize", type=click.Choice(["int8"]), help=f"Write {INT8}, of 8-bit weights, besides (needs it too)."
)
def generate(
    projector: Path,
    classes: str | None,
    classes_file: Path | None,
    group: str | None,
    tasks: Path | None,
    out: Path,
    force: bool,
    size: str | None,
    max_parameters: str | None,
    max_macs: str | None,
    max_latency: str | None,
    batch: int | None,
    threads: int | None,
    onnx: bool,
    quantize: str | None,
) -> None:
    """Make a model for the given classes out of PROJECTOR.

    PROJECTOR is the folder of a trained one, the name of one that comes with projpipe, as `projpipe list` prints it, or
    hf-hub:owner/name on the Hugging Face hub, or hf-hub:owner/name@revision.

    OUT is read by timm.create_model("local-dir:OUT", pretrained=True). With --tasks it holds a folder for each task,
    and models.csv, which lists them.

    A projector of many sizes makes the best one within all limits that are given, of --tasks one that is within them
    for the task with the most classes. Without any, it makes the one that is recommended: `projpipe inspect` lists
    them.
    """
    given = [option for option in (classes, classes_file, group, tasks) if option is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --classes, --classes-file, --group and --tasks")
    from projpipe.commands.output import holds_models, output
    from projpipe.commands.task_list import parse_names, read_names, read_tasks
    from projpipe.errors import InputError, printable
    from projpipe.places import located
    from projpipe.projection.projector_folder import load_projector
    from projpipe.students.size_table import Limits

    projector = located(projector)
    limits = Limits.of(size, max_parameters, max_macs, max_latency, batch, threads)
    files = _Files(onnx, quantize is not None)
    foreign = "holds more than what `projpipe generate` wrote"
    key = None if tasks is None else _key(projector, tasks, limits, files)
    with output(out, force, holds_models, foreign, "folder", key) as temporary:
        loaded = load_projector(projector)
        if (onnx or quantize) and loaded.objective.samples:
            option = "--onnx" if onnx else "--quantize"
            raise InputError(f"{option}: is for classifiers, and this projector makes image models; leave it out")
        if tasks is not None:
            listed = read_tasks(tasks, loaded)
            said = f"{out}: {len(listed)} models{_generate_all(projector, loaded, listed, temporary, limits, files)}"
        else:
            if classes_file is not None:
                names = read_names(classes_file)
            else:
                names = loaded.group(group) if group is not None else parse_names(classes or "", "--classes")
            chosen, latency = loaded.size_within(limits, names)
            started = time.perf_counter()
            student = loaded.student(names, size=chosen)
            milliseconds = 1000 * (time.perf_counter() - started)
            difference = _write(projector, student, temporary, files)
            counted = f"{len(names)} class{'es' * (len(names) > 1)}"
            params = f"{chosen.deployed_params(len(names)):,} parameters, made in {milliseconds:.0f} ms"
            said = f"{out}: {counted}, {_size(chosen)}, {params}{_measured(latency, limits, difference)}"
    click.echo(printable(said))


@dataclass(frozen=True)
class _Files:
    """What is written besides a model's folder."""

    onnx: bool
    int8: bool


def _size(spec: TransformerSpec) -> str:
    return f"{spec.embed_dim} x {spec.depth}"


def _measured(latency: float | None, limits: Limits, difference: float | None) -> str:
    """The end of the closing line: the latency and the largest difference of 8-bit logits, where there are such."""
    said = ""
    if latency is not None:
        threads = f"{limits.threads} thread{'s' * (limits.threads > 1)}"
        said += f"; {latency:.3g} ms a forward pass ({threads}, batches of {limits.batch})"
    if difference is not None:
        said += f"; logits of {INT8} differ by up to {difference:.2g}"
    return said


def _key(projector: Path, tasks: Path, limits: Limits, files: _Files) -> str:
    """Names what a command makes by all that decides it; a file that cannot be read is refused where it is used."""
    from projpipe import __version__
    from projpipe.manifest import MANIFEST
    from projpipe.record import file_sha256
    from projpipe.students.size_table import SIZES

    digest = hashlib.sha256(f"{__version__} {limits} {files}".encode())
    for path in (projector / MANIFEST, projector / SIZES, tasks):
        with suppress(OSError):
            digest.update(file_sha256(path).encode())
    return digest.hexdigest()


def _generate_all(
    folder: Path, projector: Projector, tasks: list[NamedTask], out: Path, limits: Limits, files: _Files
) -> str:
    """Write a folder for each task, but for those that are there already, and the list of them; what is said of them.

    All are of one size, the one of those that are there already: a latency that is measured anew may choose another.
    """
    from projpipe.commands.output import COLUMNS, LISTING, quote_cell
    from projpipe.commands.task_list import format_names
    from projpipe.students.student import is_whole, load_student

    most = max((task.classes for task in tasks), key=len)
    there = next((out / task.folder for task in tasks if is_whole(out / task.folder)), None)
    if there is None:
        size, latency = projector.size_within(limits, most)
    else:
        size = load_student(there).spec
        measured = limits.max_latency_ms is not None
        latency = projector.latency_ms(most, size, limits.batch, limits.threads) if measured else None
    largest = None
    with click.progressbar(tasks, label="generate", file=sys.stderr) as shown:
        for task in shown:
            if not is_whole(out / task.folder):
                difference = _write(folder, projector.student(task.classes, size=size), out / task.folder, files)
                largest = difference if difference is None else max(difference, largest or 0.0)
    with (out / LISTING).open("w", encoding="utf-8", newline="") as file:
        rows = [[task.folder, task.name, format_names(task.classes)] for task in tasks]
        csv.writer(file).writerows([COLUMNS, *(map(quote_cell, row) for row in rows)])
    params = f"{size.deployed_params(len(most)):,} parameters"
    return f", {_size(size)}, at most {params} each{_measured(latency, limits, largest)}"


def _write(projector: Path, student: Student, folder: Path, files: _Files) -> float | None:
    """Write a model's folder, all of it or nothing; the largest difference of its 8-bit logits, if it has such."""
    if not (files.onnx or files.int8):
        _save(projector, student, folder)
        return None
    from projpipe.atomic import write_atomically
    from projpipe.students.onnx_file import write_int8, write_onnx

    with write_atomically(folder, durable=False) as temporary:
        _save(projector, student, temporary)
        model, path = student.to_timm(), temporary / "model.onnx"
        write_onnx(model, path)
        difference = write_int8(model, path, temporary / INT8) if files.int8 else None
        if not files.onnx:
            path.unlink()
    return difference


def _save(projector: Path, student: Student, folder: Path) -> None:
    """Write a model's folder but for its ONNX file; what is wrong with the model is said of its projector."""
    from projpipe.errors import InputError

    try:
        student.save(folder)
    except InputError as error:
        raise InputError(f"{projector}: makes no model of these classes ({error}); train or fetch it again") from error
