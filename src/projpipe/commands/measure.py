"""`projpipe measure`: how fast the sizes of a projector are on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.commands.arguments import Folder, as_json


@click.command(short_help="Measure the latency of a projector's sizes here.")
@click.argument("projector", type=Folder("projector", as_named=True))
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

    Where other programs run meanwhile, a latency is a range: from the time without them to that of the clock.

    \b
    projpipe measure data/digits/06_models/projector --batch 8 --threads 2
    """
    from projpipe.commands.output import progress, say_if_busy, show, show_sizes
    from projpipe.errors import InputError
    from projpipe.manifest import SIZES
    from projpipe.places import located
    from projpipe.projection.projector_manifest import read_projector_manifest

    folder = located(projector)
    if of == "onnx":
        read_projector_manifest(folder).check_classifies("--format onnx")
    if not (folder / SIZES).exists():
        raise InputError(f"{projector}: has no {SIZES} to measure; make it with `kedro run --pipelines sweep_students`")
    from dataclasses import replace
    from functools import partial
    from importlib.metadata import version

    from projpipe.machine import processor
    from projpipe.projection.projector_folder import load_projector

    loaded = load_projector(folder)
    table = loaded.size_table
    assert table is not None  # its file is there
    batch, threads = batch or table.batch, threads or table.threads
    packages = ("projpipe", "torch", "timm", *(("onnxruntime",) if of == "onnx" else ()))
    latency = partial(loaded.latency, batch=batch, threads=threads, onnx=of == "onnx")
    classes, largest = loaded.classes[: table.num_classes], loaded.operator.spec
    with progress(table.sizes, "measure") as shown:
        sizes = tuple(size.timed(latency(classes, size.of(largest))) for size in shown)
    table = replace(
        table,
        batch=batch,
        threads=threads,
        machine=processor(),
        versions={name: version(name) for name in packages},
        sizes=sizes,
    )
    say_if_busy(size.latency for size in sizes)
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
