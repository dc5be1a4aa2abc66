"""`projpipe measure`: how fast the sizes of a projector are on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from projpipe.commands.arguments import Folder, as_json


@click.command()
@click.argument("projector", type=click.Path(path_type=Path))
@click.option("--batch", type=click.IntRange(1, 2**16), help="Images in a pass.  [default: as before]")
@click.option("--threads", type=click.IntRange(1, 2**10), help="Threads that compute it.  [default: as before]")
@click.option(
    "--format",
    "of",
    type=click.Choice(["torch", "onnx"]),
    default="torch",
    show_default=True,
    help="What runs: timm's models, or ONNX files in ONNX Runtime, of which nothing is kept.",
)
@as_json
def measure(projector: Path, batch: int | None, threads: int | None, of: str, as_json: bool) -> None:
    """Measure anew how long models of the sizes of PROJECTOR take, here.

    Its table of sizes, which `projpipe inspect` prints, is written anew. Scores, and the size that is recommended, stay
    as they are. With --format onnx the table is printed alone: the projector's own is of timm's models. So is that of a
    projector which is found by name or on the hub.

    \b
    projpipe measure data/digits/06_models/projector --batch 8 --threads 2
    """
    folder = Folder("projector").convert(projector, None, None)
    from dataclasses import replace
    from functools import partial
    from importlib.metadata import version

    from projpipe.commands.output import show, show_sizes
    from projpipe.errors import InputError
    from projpipe.projection.projector_folder import load_projector
    from projpipe.students.size_table import SIZES
    from projpipe.tensors import processor

    loaded = load_projector(folder)
    table = loaded.size_table
    if table is None:
        raise InputError(f"{projector}: has no {SIZES} to measure; make it with `kedro run --pipelines sweep_students`")
    if of == "onnx" and loaded.objective.samples:
        raise InputError("--format onnx: is for classifiers, and this projector makes image models; leave it out")
    batch, threads = batch or table.batch, threads or table.threads
    packages = ("projpipe", "torch", "timm", *(("onnxruntime",) if of == "onnx" else ()))
    latency_ms = partial(loaded.latency_ms, batch=batch, threads=threads, onnx=of == "onnx")
    classes, largest = loaded.classes[: table.num_classes], loaded.operator.spec
    with click.progressbar(table.sizes, label="measure", file=sys.stderr) as shown:
        sizes = tuple(replace(size, latency_ms=round(latency_ms(classes, size.of(largest)), 4)) for size in shown)
    table = replace(
        table,
        batch=batch,
        threads=threads,
        machine=processor(),
        versions={name: version(name) for name in packages},
        sizes=sizes,
    )
    if of == "onnx":
        click.echo("Measured in ONNX Runtime; the projector's own table, of timm's models, stays as it is.", err=True)
    elif folder != projector:
        click.echo(f"{folder} is not written to; copy it to keep what is measured.", err=True)
    else:
        try:
            table.save(projector)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{projector / SIZES}: cannot be written ({reason}); allow it, or copy the folder"
            ) from error
    if as_json:
        show(table.to_json(), as_json, [])
    else:
        show_sizes(table)
