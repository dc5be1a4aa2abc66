"""A projector as the page asks it: models of classes and sizes, what they and the teacher say, and a zip to take."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TypeVar

import torch
from torch import Tensor

from projpipe.errors import InputError
from projpipe.images.pictures import read_picture
from projpipe.manifest import EXAMPLES, ONNX
from projpipe.places import located
from projpipe.projection.projector import Projector
from projpipe.projection.projector_folder import load_projector
from projpipe.students.elapsed import Elapsed
from projpipe.students.limits import Limits
from projpipe.students.onnx_file import write_onnx
from projpipe.students.size_table import MeasuredSize
from projpipe.students.stopwatch import clock_and_processor_seconds, elapsed_of
from projpipe.students.student import Student
from projpipe.transformer.spec import TransformerSpec, written

MOST_EXAMPLES = 12
FIRST_CLASSES = 3  # that the page opens with
REPEATS, MOST_SECONDS = 5, 0.05  # of a forward pass whose time is shown
BY_SIZE, BY_LATENCY = "size", "latency"


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture.

    Args:
        probabilities: of the task's classes, `[K]`.
        latency: of a forward pass.
        unknown: whether it is taken for none of the classes.
        overall: the likeliest of all classes of the projector; of a teacher.
    """

    probabilities: Tensor
    latency: Elapsed
    unknown: bool = False
    overall: str | None = None


@dataclass(frozen=True)
class LoadedProjector:
    """A projector, and what it was loaded by: a folder or a name. Nothing of it changes after it is made."""

    projector: Projector
    name: str
    examples: Sequence[Path]
    _one_at_a_time: Lock = field(default_factory=Lock)  # large pictures, and exports, which take much memory

    @classmethod
    def read(cls, place: Path | str) -> LoadedProjector:
        """Read the projector that a folder or a name stands for, with some of its examples if it has any."""
        examples = sorted((located(place) / EXAMPLES).glob("*.png"))
        return cls(load_projector(place), str(place), examples[:: -(-len(examples) // MOST_EXAMPLES) or 1])

    @property
    def draws(self) -> bool:
        """Whether its models draw pictures; else they tell classes apart."""
        return self.projector.objective.samples

    @property
    def first_classes(self) -> list[str]:
        """Those that the page opens with: some of the group with most examples, those that have one first."""
        shown = [path.stem for path in self.examples]
        groups = Counter(filter(None, map(self.group_of, shown))).most_common(1)
        names = [name for name in self.projector.classes if not groups or self.group_of(name) == groups[0][0]]
        enough = names if len(names) >= self.projector.objective.fewest_classes else self.projector.classes
        return sorted(enough, key=lambda name: name not in shown)[:FIRST_CLASSES]

    @property
    def groups(self) -> list[str]:
        """Names of the groups of classes, sorted."""
        return sorted(set(self.projector.data.get("groups", [])) - {""})

    def group_of(self, name: str) -> str:
        """The group of a class, "" for none."""
        groups = self.projector.data.get("groups", [])
        return dict(zip(self.projector.classes, groups, strict=False)).get(name, "")

    def sizes(self, by: str) -> list[MeasuredSize]:
        """What was measured of sizes, the smaller or the faster first; none without a size table."""
        table = self.projector.size_table
        measured = () if table is None else table.sizes
        return sorted(measured, key=lambda size: (size.latency_ms if by == BY_LATENCY else 0.0, size.params))

    def position(self, size: TransformerSpec, by: str) -> int:
        """Where a size stands among `sizes`, 0 if it was not measured."""
        specs = [one.of(size) for one in self.sizes(by)]
        return specs.index(size) if size in specs else 0

    def size_at(self, position: float, by: str) -> TransformerSpec:
        """The size at a position of `sizes`; the projector's recommended one where there are none."""
        sizes = self.sizes(by)
        if not sizes:
            return self.projector.recommended
        return sizes[min(max(0, int(position)), len(sizes) - 1)].of(self.projector.operator.spec)

    def measured(self, size: TransformerSpec) -> MeasuredSize | None:
        """What was measured of a size; None where it was not."""
        return next((one for one in self.sizes(BY_SIZE) if one.of(size) == size), None)

    def read_picture(self, path: Path) -> Tensor:
        """A picture as the models read it, `[1, C, H, W]`.

        Raises:
            InputError: it cannot be read; names the file alone, not where it was kept.
        """
        spec = self.projector.operator.spec
        try:
            with self._one_at_a_time:
                picture = read_picture(path, spec.image_size, grey=spec.in_chans == 1)
        except InputError as error:
            raise InputError(str(error).replace(str(path), path.name)) from error
        return self.projector.of_pictures.encode(picture[None])

    def ask_student(self, student: Student, image: Tensor) -> Answer:
        """What a small model says of an encoded image."""
        (logits, evidence), latency = _timed(lambda: student.answers(image))
        threshold = student.energy_threshold
        unknown = threshold is not None and float(evidence) < threshold
        return Answer(logits[0].softmax(-1), latency, unknown)

    def ask_teacher(self, classes: Sequence[str], image: Tensor) -> Answer:
        """What the teacher says of an encoded image, masked to the classes of a task."""
        logits, latency = _timed(lambda: self._teacher(image))
        of_task = logits[0, self.projector.class_ids(classes)]
        overall = self.projector.classes[int(logits[0].argmax())]
        return Answer(of_task.softmax(-1), latency, overall=overall)

    def python(self, classes: Sequence[str], size: TransformerSpec) -> str:
        """The lines of Python that make the model."""
        asked = f"classes={list(classes)!r}" + (f", size={written(size)!r}" if self.projector.sizes else "")
        return (
            "from projpipe import load_projector\n"
            f"projector = load_projector({self.name!r})\n"
            f"model = projector.generate({asked})"
        )

    def zipped(self, class_ids: Sequence[int], size: str | None, onnx: bool) -> bytes:
        """A zip of the model's folder, `model/...`.

        Raises:
            InputError: there is no such class or size, or the extra `onnx` is not installed.
        """
        known = self.projector.classes
        if unknown := [class_id for class_id in class_ids if not 0 <= class_id < len(known)]:
            raise InputError(f"classes: {unknown[0]} is not in 0..{len(known) - 1}")
        names = [known[class_id] for class_id in class_ids]
        chosen, _ = self.projector.size_within(Limits.of(size), names)
        student = self.projector.student(names, size=chosen)
        content = io.BytesIO()
        with TemporaryDirectory() as temporary, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            folder = Path(temporary) / "model"
            student.save(folder)
            if onnx:
                with self._one_at_a_time:
                    write_onnx(student.to_timm(), folder / ONNX)
            for path in sorted(folder.iterdir()):
                archive.write(path, path.relative_to(temporary))
        return content.getvalue()

    @cached_property
    def _teacher(self) -> Callable[[Tensor], Tensor]:
        """What the teacher says of encoded images, of all classes."""
        return self.projector.teacher(self.projector.classes)


Result = TypeVar("Result")


@torch.inference_mode()
def _timed(run: Callable[[], Result]) -> tuple[Result, Elapsed]:
    """What a call returns, and how long it takes, the first call left out."""
    result = run()
    taken: list[tuple[float, float]] = []
    while len(taken) < REPEATS and sum(clock for clock, _ in taken) < MOST_SECONDS:
        taken.append(clock_and_processor_seconds(run))
    return result, elapsed_of(taken)
