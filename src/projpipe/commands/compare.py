"""`projpipe compare`: accuracy, latency and size of models side by side, on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import click

from projpipe.commands.arguments import Folder, as_json, strict
from projpipe.errors import InputError, printable
from projpipe.manifest import WEIGHTS
from projpipe.metric import ACCURACY, share_interval
from projpipe.students.elapsed import Elapsed, milliseconds

if TYPE_CHECKING:
    from projpipe.students.student import Student

NAMED = 5  # classes that are left out, by name


@click.command(short_help="Measure models side by side on the same pictures.")
@click.argument("models", nargs=-1, required=True, type=Folder("model", draws=False), metavar="MODEL...")
@click.argument("image_folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--batch", type=click.IntRange(1, 2**16), default=1, show_default=True, help="Images in a pass.")
@click.option("--threads", type=click.IntRange(1, 2**10), default=1, show_default=True, help="That compute it.")
@strict
@as_json
def compare(
    models: tuple[Path, ...], image_folder: Path, batch: int, threads: int, strict: bool, as_json: bool
) -> None:
    """Measure each MODEL on the same pictures: those in IMAGE_FOLDER of the classes that all of them know.

    Each may still answer with any of its own classes. Accuracy has its 95 % interval; latency is the median of a
    forward pass here, and a range where other programs run meanwhile: from the time without them to that of the clock.
    Bytes are those of the weights.

    \b
    projpipe compare model fast pictures
    """
    from projpipe.commands.classify import end_with, labelled_pictures, load_classifier, right_answers
    from projpipe.commands.output import say_if_busy, show

    students = [load_classifier(model) for model in models]
    of_each = [[normalize("NFC", name) for name in student.classes] for student in students]
    shared = [name for name in of_each[0] if all(name in names for names in of_each)]
    if not shared:
        raise InputError(f"{models[-1]}: these models have no class in common; compare those that have")
    labelled, left_out = labelled_pictures(image_folder, shared)
    found: list[_Measured] = []
    unreadable: list[str] = []
    for model, student, names in zip(models, students, of_each, strict=True):
        own = [(path, names.index(shared[position])) for path, position in labelled]
        answers = right_answers(model, student, own, f"evaluate {model}", strict)
        unreadable = [answer for answer in answers if isinstance(answer, str)]
        if len(unreadable) == len(answers):
            raise InputError(f"{image_folder}: no picture of a shared class can be read, such as {unreadable[0]}")
        found.append(_measure(model, student, [one for one in answers if isinstance(one, bool)], batch, threads))
    images = len(labelled) - len(unreadable)
    about = {"classes": shared, "images": images, "left_out": left_out, "batch": batch, "threads": threads}
    header = ["model", ACCURACY.heading, "latency", "parameters", "bytes"]
    show({**about, "models": [vars(one) for one in found]}, as_json, [header, *(one.row() for one in found)])
    say_if_busy(one.latency for one in found)
    click.echo(printable(f"{images} pictures of what all models know: {', '.join(shared)}."), err=True)
    if others := sorted({name for names in of_each for name in names} - {*shared}):
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        named = f"{', '.join(others[:NAMED])}{more}"
        click.echo(printable(f"Left out, as not all models know them: {named}."), err=True)
    end_with(unreadable)


@dataclass(frozen=True)
class _Measured:
    """What was measured of a model."""

    model: str
    accuracy: float
    interval: tuple[float, float]
    latency_ms: float
    undisturbed_ms: float
    parameters: int
    bytes: int

    @property
    def latency(self) -> Elapsed:
        """By the clock, and without what other programs took."""
        return Elapsed(median_ms=self.latency_ms, undisturbed_ms=self.undisturbed_ms)

    def row(self) -> list[str]:
        """Its row of the table."""
        accuracy = f"{ACCURACY.text(self.accuracy)} {ACCURACY.ends(self.interval)}"
        numbers = [f"{milliseconds(self.latency, '.3g')} ms", f"{self.parameters:,}", f"{self.bytes:,}"]
        return [self.model, accuracy, *numbers]


def _measure(folder: Path, student: Student, right: list[bool], batch: int, threads: int) -> _Measured:
    """A model by its answers, which are right or not, and its latency."""
    from projpipe.students.stopwatch import time_of

    objective, model = student.objective, student.to_timm()
    latency = time_of(lambda: objective.logits(model, objective.blank(batch)), threads)
    low, high = share_interval(sum(right) / len(right), len(right))
    return _Measured(
        str(folder),
        round(sum(right) / len(right), 6),
        (round(low, 6), round(high, 6)),
        latency["median_ms"],
        latency["undisturbed_ms"],
        student.spec.deployed_params(len(student.classes)),
        (folder / WEIGHTS).stat().st_size,
    )
