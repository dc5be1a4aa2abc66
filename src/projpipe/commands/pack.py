"""`projpipe pack`: a projector's folder made small, with a model card, to be shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projpipe.commands.arguments import Folder, NamedPath, as_json
from projpipe.manifest import CARD, EXAMPLES, MANIFEST
from projpipe.record import read_json

if TYPE_CHECKING:
    from projpipe.projection.projector import Projector
    from projpipe.projection.projector_card import Judged, Run

AS_TRAINED = "as trained"


@click.command(short_help="Write a projector as a small folder with a card.")
@click.argument("projector", type=Folder("projector"))
@click.option("--out", type=NamedPath(), required=True, help="Folder to write.")
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
@as_json
def pack(
    projector: Path,
    out: Path,
    images: Path | None,
    run_file: Path | None,
    command: str | None,
    license_name: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write PROJECTOR as a small folder with a model card, which makes the same models.

    Its weights are float16, and what training alone takes is left out. With --images its models are judged before and
    after, and the closing line says how far they are apart; the card says how often they are right, by group of classes
    and by size.

    Of one that was packed before, the card stays unless there is --images. Pictures in the folder `examples` are kept;
    what README.md there says of their origin stands on the card.

    \b
    projpipe pack data/cifar100/06_models/projector --out cifar100 --images data/01_raw/cifar100/test
    """
    from projpipe.commands.output import holds_projector, output, show
    from projpipe.errors import InputError
    from projpipe.manifest import files_of
    from projpipe.projection.projector_manifest import read_projector_manifest

    if command is not None and run_file is None:
        raise InputError("--command: stands on the card with the commit of a run; give its run.json with --run too")
    described = read_projector_manifest(projector)
    if images is not None:
        described.check_classifies("--images")
    card, examples = None if images else _card(projector), _examples(projector)
    if card is not None and (run_file or license_name):
        given = "--run" if run_file else "--license"
        fix = "pack the folder that was trained, or give --images too"
        raise InputError(f"{given}: {projector} has a card of its own, which stays; {fix}")

    def replaceable(folder: Path) -> bool:
        return holds_projector(folder) and _examples(folder).items() <= examples.items()

    foreign = "holds more than what `projpipe pack` wrote"
    with output(out, force, replaceable, foreign, "folder") as temporary:
        from projpipe.projection.projector_card import TEACHER, projector_card
        from projpipe.projection.projector_folder import load_projector

        loaded = load_projector(projector)
        if license_name:
            loaded = replace(loaded, provenance={**loaded.provenance, "license": license_name})
        run = None if run_file is None else _read_run(run_file, loaded, command)
        loaded.save(temporary, compact=True)
        judged = [] if images is None else _judge(loaded, load_projector(temporary), images)
        if card is None:
            of_examples = examples.get(CARD, b"").decode(errors="replace").strip()
            card = projector_card(loaded, judged, run, of_examples)
        loaded.save(temporary, compact=True, card=card)
        for name, content in examples.items():
            (temporary / EXAMPLES / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / EXAMPLES / name).write_bytes(content)
        before, after = (
            sum(path.stat().st_size for path in files_of(one, "projector")) for one in (projector, temporary)
        )
    measured = _measured(loaded, judged)
    said = f"{out}: {after / 1e6:.1f} MB, {before / 1e6:.1f} MB before"
    if measured:
        counted = f"{measured['images']:,} images, mean over {len(judged)} group{'s' * (len(judged) > 1)}"
        shares = {name: f"{100 * measured[name]:.2f} %" for name in ("after", "before", TEACHER)}
        said += f"; accuracy {shares['after']}, {shares['before']} before ({counted})"
        said += f", teacher {shares[TEACHER]}"
    show({"out": str(out), "bytes": after, "bytes_before": before, "accuracy": measured}, as_json, [[said]])


def _card(folder: Path) -> str | None:
    """The card of a projector that was packed; what its manifest does not vouch for is none."""
    packed = CARD in read_json(folder / MANIFEST)["sha256"]
    return (folder / CARD).read_bytes().decode(errors="replace") if packed else None


def _examples(folder: Path) -> dict[str, bytes]:
    """Pictures that come with a projector, and what is said of them, by name."""
    there = folder / EXAMPLES
    paths = (there, *sorted(there.rglob("*")))
    return {str(path.relative_to(there)): path.read_bytes() for path in paths if path.is_file()}


def _read_run(path: Path, projector: Projector, command: str | None) -> Run:
    from projpipe.errors import InputError
    from projpipe.projection.projector_card import Run
    from projpipe.record import from_json

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
    from projpipe.transformer.spec import written

    models = {TEACHER: teacher_of(packed), AS_TRAINED: students_of(projector, projector.recommended)}
    models |= {written(size): students_of(packed, size) for size in sizes_of(packed)}
    return judge(packed, models, images)


def _measured(projector: Projector, judged: list[Judged]) -> dict[str, float]:
    """Accuracy of the models that are made by default, after and before packing, and of the teacher, if judged."""
    from projpipe.projection.projector_card import TEACHER, mean_over_groups
    from projpipe.transformer.spec import written

    if not judged:
        return {}
    of = {"after": written(projector.recommended), "before": AS_TRAINED, TEACHER: TEACHER}
    shares = {name: round(mean_over_groups(judged, model)[0], 6) for name, model in of.items()}
    return {**shares, "images": sum(one.images for one in judged), "groups": len(judged)}
