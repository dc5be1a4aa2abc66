"""`projpipe pack`: a projector's folder made small, with a model card, to be shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from projpipe.projection.projector import Projector
    from projpipe.projection.projector_card import Judged, Run

AS_TRAINED = "as trained"


@click.command()
@click.argument("projector", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Test images, <class>/* or <group>/<class>/*, to measure what the card says.",
)
@click.option(
    "--run",
    "run_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The run.json of what trained it, for command and commit on the card.",
)
@click.option("--command", help="The command that trained it.  [default: that of the run]")
@click.option("--license", "license_name", help="Of its weights.  [default: that of the teacher's]")
@click.option("--force", is_flag=True, help="Replace the folder if projpipe pack wrote all of it.")
def pack(
    projector: Path,
    out: Path,
    images: Path | None,
    run_file: Path | None,
    command: str | None,
    license_name: str | None,
    force: bool,
) -> None:
    """Write PROJECTOR as a small folder with a model card, which makes the same models.

    Its weights are float16, and what training alone takes is left out. With --images its models are judged before and
    after, and the closing line says how far they are apart; the card says how often they are right, by group of classes
    and by size.

    \b
    projpipe pack data/cifar100/06_models/projector --out cifar100 --images data/01_raw/cifar100/test
    """
    from projpipe.commands.output import holds_projector, output
    from projpipe.errors import InputError, printable
    from projpipe.hub import FILES
    from projpipe.manifest import MANIFEST
    from projpipe.places import located
    from projpipe.projection.projector_card import projector_card
    from projpipe.projection.projector_folder import load_projector

    folder = located(projector)
    loaded = load_projector(folder)
    if images is not None and loaded.objective.samples:
        raise InputError("--images: are for classifiers, and this projector makes image models; leave them out")
    if command is not None and run_file is None:
        raise InputError("--command: stands on the card with the commit of a run; give its run.json with --run too")
    run = None if run_file is None else _read_run(run_file, loaded, command)
    foreign = "holds more than what `projpipe pack` wrote"
    with output(out, force, holds_projector, foreign, "folder") as temporary:
        loaded.save(temporary, compact=True)
        judged = [] if images is None else _judge(loaded, load_projector(temporary), images)
        loaded.save(temporary, compact=True, card=projector_card(loaded, judged, run, license_name))
        before, after = (
            sum((one / name).stat().st_size for name in (MANIFEST, *FILES["projector"]) if (one / name).is_file())
            for one in (folder, temporary)
        )
    sizes = f"{out}: {after / 1e6:.1f} MB, {before / 1e6:.1f} MB before"
    click.echo(printable(f"{sizes}{_difference(loaded, judged)}"))


def _read_run(path: Path, projector: Projector, command: str | None) -> Run:
    from dataclasses import replace

    from projpipe.errors import InputError
    from projpipe.projection.projector_card import Run
    from projpipe.record import from_json, read_json

    try:
        run = from_json(Run, read_json(path))
        run.check(projector.provenance)
    except (OSError, ValueError) as error:
        raise InputError(f"--run: {path}: {error}") from error
    return run if command is None else replace(run, command=command)


def _judge(projector: Projector, packed: Projector, images: Path) -> list[Judged]:
    """Judge the teacher, models of all measured sizes as they are packed, and those made by default as trained."""
    from projpipe.commands.judge import judge, students_of, teacher_of
    from projpipe.projection.projector_card import TEACHER, sizes_of
    from projpipe.students.size_table import written

    models = {TEACHER: teacher_of(packed), AS_TRAINED: students_of(projector, projector.recommended)}
    models |= {written(size): students_of(packed, size) for size in sizes_of(packed)}
    return judge(packed, models, images)


def _difference(projector: Projector, judged: list[Judged]) -> str:
    """What the closing line says of the models that are made by default."""
    from projpipe.metric import ACCURACY
    from projpipe.projection.projector_card import mean_over_groups
    from projpipe.students.size_table import written

    if not judged:
        return ""
    after, before = (mean_over_groups(judged, name)[0] for name in (written(projector.recommended), AS_TRAINED))
    count, groups = sum(one.images for one in judged), f"{len(judged)} group{'s' * (len(judged) > 1)}"
    accuracy = f"accuracy {100 * after:.2f} %, {100 * before:.2f} % before ({count:,} images, mean over {groups})"
    return f"; {accuracy}, teacher {ACCURACY.value(mean_over_groups(judged, 'teacher')[0])}"
