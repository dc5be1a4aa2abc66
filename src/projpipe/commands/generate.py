"""`projpipe generate`: models for one task or for a whole table of them."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projpipe.commands.arguments import Folder, NamedPath, as_json, complete_classes, complete_groups, force
from projpipe.errors import InputError, printable
from projpipe.manifest import FIXES, INT8, MANIFEST, ONNX
from projpipe.projection.projector_manifest import (
    DescribedProjector,
    classes_of_group,
    find_classes,
    read_projector_manifest,
    weights_sha256,
)
from projpipe.students.elapsed import milliseconds
from projpipe.transformer.spec import written

if TYPE_CHECKING:
    from projpipe.commands.task_list import NamedTask
    from projpipe.projection.projector import Projector
    from projpipe.students.elapsed import Elapsed
    from projpipe.students.limits import Limits
    from projpipe.students.student import Student
    from projpipe.transformer.spec import TransformerSpec

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
WAYS = "(--classes NAMES | --classes-file FILE | --group NAME | --support FOLDER | --tasks FILE)"


@click.command(options_metavar=f"{WAYS} --out FOLDER [OPTIONS]")
@click.argument("projector", type=Folder("projector"))
@click.option(
    "--classes",
    shell_complete=complete_classes,
    help="Names with commas between them; put one that holds a comma in double quotes.",
)
@click.option("--classes-file", type=FILE, help="One name a line.")
@click.option("--group", shell_complete=complete_groups, help="All classes of a group, such as an alphabet.")
@click.option("--support", type=NamedPath(), help="Unlabelled pictures: a folder; what is seen in them.")
@click.option("--tasks", type=FILE, help="Many models: a CSV or Parquet file with the columns name and classes.")
@click.option("--out", type=NamedPath(), required=True, help="Folder to write.")
@force
@click.option("--size", help="Width x depth, as 24x2, or with heads and hidden units, as 24x2x4x96.")
@click.option("--max-parameters", help="The best size with so many at most, as 50k.")
@click.option("--max-macs", help="The best size with so many multiply-accumulates an image at most, as 1M.")
@click.option("--max-latency", help="The best size whose forward pass takes so long here at most, as 2ms.")
@click.option("--batch", type=int, help="Images in a pass that --max-latency is of.  [default: 1]")
@click.option("--threads", type=int, help="Threads that compute it.  [default: 1]")
@click.option("--onnx", is_flag=True, help=f"Write {ONNX} besides (needs the extra 'onnx').")
@click.option(
    "--quantize", type=click.Choice(["int8"]), help=f"Write {INT8}, of 8-bit weights, besides (needs it too)."
)
@as_json
def generate(
    projector: Path,
    classes: str | None,
    classes_file: Path | None,
    group: str | None,
    support: Path | None,
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
    as_json: bool,
) -> None:
    """Make a model for the given classes out of PROJECTOR.

    Give its classes by one of --classes, --classes-file, --group and --support, or those of many models by --tasks.

    PROJECTOR is the folder of a trained one, the name of one that comes with projpipe, as `projpipe list` prints it, or
    hf-hub:owner/name on the Hugging Face hub, or hf-hub:owner/name@revision.

    OUT is read by timm.create_model("local-dir:OUT", pretrained=True). With --tasks it holds a folder for each task,
    and models.csv, which lists them.

    A projector of many sizes makes the best one within all limits that are given, of --tasks one that is within them
    for the task with the most classes. Without any, it makes the one that is recommended: `projpipe inspect` lists
    them.

    \b
    projpipe generate cifar100 --classes lion,tiger,wolf --out model --max-latency 2ms
    """
    given = [option for option in (classes, classes_file, group, support, tasks) if option is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --classes, --classes-file, --group and --tasks, or --support")
    from projpipe.commands.output import holds_models, output, show
    from projpipe.students.limits import Limits

    limits = Limits.of(size, max_parameters, max_macs, max_latency, batch, threads)
    files = _Files(onnx, quantize is not None)
    foreign = "holds more than what `projpipe generate` wrote"
    key = None if tasks is None else _key(projector, tasks, limits, files)
    with output(out, force, holds_models, foreign, "folder", key) as temporary:
        described = read_projector_manifest(projector)
        for option, there in (("--onnx", onnx), ("--quantize", quantize)):
            if there:
                described.check_classifies(option)
        asked = _asked(described, classes, classes_file, group, support, tasks)
        _check_limits(projector, described, limits, asked)
        from projpipe.projection.projector_folder import load_projector
        from projpipe.students.stopwatch import fixed_threads

        loaded = load_projector(projector)
        with fixed_threads(1):  # products are small; beside other programs, threads wait for each other
            if asked.tasks:
                made = _generate_all(projector, loaded, asked.tasks, temporary, limits, files)
            else:
                named = asked.classes or _recognised(loaded, asked.pictures)
                made = _generate_one(projector, loaded, named, temporary, limits, files)
    if as_json:
        show({"out": str(out), **made.to_json()}, as_json, [])
    else:
        click.echo(printable(f"{out}: {made.line(limits)}"))


@dataclass(frozen=True)
class _Asked:
    """What models are for: the classes of one, pictures of them, or the tasks of many."""

    classes: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    tasks: Sequence[NamedTask] = ()


def _asked(
    described: DescribedProjector,
    classes: str | None,
    classes_file: Path | None,
    group: str | None,
    support: Path | None,
    tasks: Path | None,
) -> _Asked:
    """What is asked for; refused before torch is there if it cannot be."""
    from projpipe.commands.task_list import parse_names, read_names, read_tasks

    data, fewest = described.data, described.fewest_classes
    if tasks is not None:
        return _Asked(tasks=read_tasks(tasks, data.classes, fewest))
    if support is not None:
        from projpipe.images.pictures import find_pictures

        try:
            return _Asked(pictures=find_pictures([str(support)]))
        except InputError as error:
            raise InputError(f"--support: {error}") from error
    if group is not None:
        return _Asked(classes_of_group(data.classes, data.groups, group))
    names = read_names(classes_file) if classes_file is not None else parse_names(classes or "", "--classes")
    find_classes(data.classes, names, fewest)
    return _Asked(names)


def _check_limits(folder: Path, described: DescribedProjector, limits: Limits, asked: _Asked) -> None:
    """Refuse a size that the projector does not make, or limits that none is within; latency is measured later."""
    from projpipe.projection.size_choice import read_size_choice

    try:
        largest, sizes = described.sizes
    except InputError as error:
        raise InputError(f"{folder / MANIFEST}: {error}; {FIXES['projector']}") from error
    choice = read_size_choice(folder, largest, sizes, len(described.data.classes), weights_sha256(folder))
    most = max((len(task.classes) for task in asked.tasks), default=len(asked.classes))
    choice.within(limits, max(most, described.fewest_classes))


def _recognised(projector: Projector, pictures: Sequence[Path]) -> list[str]:
    """The classes that are seen in pictures."""
    try:
        return projector.recognise(pictures)
    except InputError as error:
        raise InputError(str(error).replace("support_images:", "--support:")) from error


@dataclass(frozen=True)
class _Files:
    """What is written besides a model's folder."""

    onnx: bool
    int8: bool


@dataclass(frozen=True)
class _Made:
    """What was made: of one model its classes and how long it took, of many a list of them; the size of all.

    `parameters` are those of the model with the most classes, `difference` is the largest of 8-bit logits, and neither
    that nor a latency has to be there.
    """

    what: Mapping[str, object]
    said: str
    size: TransformerSpec
    parameters: int
    latency: Elapsed | None
    difference: float | None

    def to_json(self) -> dict[str, object]:
        measured = {"largest_int8_difference": self.difference}
        if self.latency is not None:
            measured |= {"latency_ms": self.latency["median_ms"], "undisturbed_ms": self.latency["undisturbed_ms"]}
        size = {"size": written(self.size), "parameters": self.parameters}
        return {
            **self.what,
            **size,
            **{name: float(f"{value:.4g}") for name, value in measured.items() if value is not None},
        }

    def line(self, limits: Limits) -> str:
        """The closing line, with the latency and the difference where there are such."""
        said = self.said
        if self.latency is not None:
            threads = f"{limits.threads} thread{'s' * (limits.threads > 1)}"
            said += f"; {milliseconds(self.latency, '.3g')} ms a forward pass ({threads}, batches of {limits.batch})"
        if self.difference is not None:
            said += f"; logits of {INT8} differ by up to {self.difference:.2g}"
        return said


def _key(projector: Path, tasks: Path, limits: Limits, files: _Files) -> str:
    """Names what a command makes by all that decides it; a file that cannot be read is refused where it is used."""
    from projpipe import __version__
    from projpipe.manifest import SIZES
    from projpipe.record import file_sha256

    digest = hashlib.sha256(f"{__version__} {limits} {files}".encode())
    for path in (projector / MANIFEST, projector / SIZES, tasks):
        with suppress(OSError):
            digest.update(file_sha256(path).encode())
    return digest.hexdigest()


def _generate_one(
    folder: Path, projector: Projector, names: Sequence[str], out: Path, limits: Limits, files: _Files
) -> _Made:
    """Write the folder of a model."""
    size, latency = projector.size_within(limits, names)
    started = time.perf_counter()
    student = projector.student(names, size=size)
    milliseconds = 1000 * (time.perf_counter() - started)
    difference = _write(folder, student, out, files)
    parameters = size.deployed_params(len(names))
    counted = f"{len(names)} class{'es' * (len(names) > 1)}, {written(size)}"
    said = f"{counted}, {parameters:,} parameters, made in {milliseconds:.0f} ms"
    what = {"classes": list(student.classes), "milliseconds": round(milliseconds, 3)}
    return _Made(what, said, size, parameters, latency, difference)


def _generate_all(
    folder: Path, projector: Projector, tasks: Sequence[NamedTask], out: Path, limits: Limits, files: _Files
) -> _Made:
    """Write a folder for each task, but for those that are there already, and the list of them.

    All are of one size, the one of those that are there already: a latency that is measured anew may choose another.
    """
    from projpipe.commands.output import COLUMNS, LISTING, progress, quote_cell
    from projpipe.commands.task_list import format_names
    from projpipe.students.student import is_whole, load_student

    most = max((task.classes for task in tasks), key=len)
    there = next((out / task.folder for task in tasks if is_whole(out / task.folder)), None)
    if there is None:
        size, latency = projector.size_within(limits, most)
    else:
        size = load_student(there).spec
        measured = limits.max_latency_ms is not None
        latency = projector.latency(most, size, limits.batch, limits.threads) if measured else None
    largest = None
    with progress(tasks, "generate") as shown:
        for task in shown:
            if not is_whole(out / task.folder):
                difference = _write(folder, projector.student(task.classes, size=size), out / task.folder, files)
                largest = difference if difference is None else max(difference, largest or 0.0)
    with (out / LISTING).open("w", encoding="utf-8", newline="") as file:
        rows = [[task.folder, task.name, format_names(task.classes)] for task in tasks]
        csv.writer(file).writerows([COLUMNS, *(map(quote_cell, row) for row in rows)])
    parameters = size.deployed_params(len(most))
    said = f"{len(tasks)} models, {written(size)}, at most {parameters:,} parameters each"
    what = {"models": [{"folder": task.folder, "name": task.name, "classes": task.classes} for task in tasks]}
    return _Made(what, said, size, parameters, latency, largest)


def _write(projector: Path, student: Student, folder: Path, files: _Files) -> float | None:
    """Write a model's folder, all of it or nothing; the largest difference of its 8-bit logits, if it has such."""
    if not (files.onnx or files.int8):
        _save(projector, student, folder)
        return None
    from projpipe.atomic import write_atomically
    from projpipe.students.onnx_file import write_int8, write_onnx

    with write_atomically(folder, durable=False) as temporary:
        _save(projector, student, temporary)
        model, path = student.to_timm(), temporary / ONNX
        write_onnx(model, path)
        difference = write_int8(model, path, temporary / INT8) if files.int8 else None
        if not files.onnx:
            path.unlink()
    return difference


def _save(projector: Path, student: Student, folder: Path) -> None:
    """Write a model's folder but for its ONNX file; what is wrong with the model is said of its projector."""
    try:
        student.save(folder)
    except InputError as error:
        raise InputError(f"{projector}: makes no model of these classes ({error}); train or fetch it again") from error
