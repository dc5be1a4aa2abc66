"""`projpipe finetune`: a model made better by labelled pictures of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.commands.arguments import Folder, NamedPath, as_json, device, force, strict
from projpipe.errors import InputError, printable
from projpipe.metric import ACCURACY, share_interval

STEPS = 300


@click.command(short_help="Fine-tune a model on pictures of your own.")
@click.argument("model", type=Folder("model", draws=False))
@click.argument("image_folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=NamedPath(), required=True, help="Folder of the new model.")
@click.option("--projector", type=Folder("projector"), help="Learn from the teacher in the folder of a projector too.")
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of each class that is held out.",
)
@click.option("--steps", type=click.IntRange(1, 10**6), help=f"How long to learn.  [default: {STEPS}]")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Take as many steps as fit into this instead.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Fixes every draw.")
@click.option("--threads", type=click.IntRange(1, 2**10), default=1, show_default=True, help="That compute it.")
@device
@force
@strict
@as_json
def finetune(
    model: Path,
    image_folder: Path,
    out: Path,
    projector: Path | None,
    validation: float,
    steps: int | None,
    seconds: float | None,
    learning_rate: float,
    seed: int,
    threads: int,
    device: str,
    force: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Fine-tune MODEL on the pictures in IMAGE_FOLDER, which has a folder for each of its classes, and write a new one.

    What is best on held-out pictures is kept: that may be MODEL itself, so that it gets no worse on them. With the same
    steps, seed and threads the same pictures give the same bytes on a machine.

    \b
    projpipe finetune model pictures --out better --projector cifar100
    """
    if steps and seconds:
        raise click.UsageError("--steps and --seconds both say how long to learn; give one of them")
    if model.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"--out: {out} is where MODEL is, which stays as it is; choose another folder")
    from projpipe.commands.output import holds_models, output, show

    with output(out, force, holds_models, "holds more than what projpipe wrote", "folder") as temporary:
        from projpipe.commands.classify import end_with, load_classifier
        from projpipe.commands.fine_tuning import FineTuning, fine_tune, read_labelled, teacher_of

        asked = FineTuning(
            None if seconds else steps or STEPS, seconds or 0.0, learning_rate, validation, seed, threads
        )
        student = load_classifier(model, device)
        teacher = None if projector is None else teacher_of(projector, student, device)
        data, left_out, unreadable = read_labelled(student, image_folder, strict)
        tuned, outcome = fine_tune(data, asked, teacher)
        tuned.save(temporary)
    if as_json:
        show({"out": str(out), **vars(outcome), "left_out": left_out, "unreadable": len(unreadable)}, True, [])
    else:
        shares = [outcome.accuracy[name] for name in ("before", "after")]
        before, after = (
            f"{ACCURACY.value(share)} {ACCURACY.ends(share_interval(share, outcome.held_out))}" for share in shares
        )
        said = f"{outcome.images} pictures to learn from, {outcome.held_out} held out: accuracy {before} before"
        kept = f"{after} after step {outcome.kept_step} of {outcome.steps}"
        none = f"no step of {outcome.steps} was better, so it is MODEL as it was"
        click.echo(printable(f"{out}: {said}, {kept if outcome.kept_step else none}"))
    if left_out:
        click.echo(f"Left out {left_out} pictures of other classes.", err=True)
    end_with(unreadable)
