"""What a projector's students of many sizes were measured to be.

The table is a file in the projector's folder, beside its manifest, which does not know of it: it is measured after the
projector is trained, and may be measured anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from projpipe.atomic import write_atomically
from projpipe.errors import InputError
from projpipe.manifest import SIZES
from projpipe.metric import METRICS, Metric
from projpipe.record import Bounds, from_json, read_json, to_json
from projpipe.students.elapsed import Elapsed
from projpipe.students.limits import Batch, Threads
from projpipe.transformer.spec import Depth, Size, TransformerSpec, written

REMAKE = "fetch the projector again, or delete it and make it anew with `kedro run --pipelines sweep_students`"
ROUNDING = 1e-6  # of a mean
LATER = {"undisturbed_ms", "other_row", "noise_kept", "per_doubling", "task_classes"}  # fields that older tables lack
Score = Annotated[float, Bounds(0, 1e6)]
Number = Annotated[int, Bounds(0, 2**60)]


@dataclass(frozen=True)
class MeasuredSize:
    """One size of student.

    `score` is the mean over validation tasks, with its 95 % `interval`; `params`, `macs` (multiply-accumulates of one
    image), `file_bytes` (of `model.safetensors`) and `latency_ms` are of models for the table's number of classes.
    `undisturbed_ms` is the latency without what other programs took, where that was measured, see `Elapsed`.
    `energy_threshold` is what classifiers of this size take for none of their classes below, with their `other_row`,
    see `Student.answers`; `others_kept` and `noise_kept` are the shares of images of other classes, and of noise, that
    they take for theirs all the same. `per_doubling` is by how much the score changes where a task has twice as many
    classes.
    """

    embed_dim: Size
    depth: Depth
    num_heads: Size
    mlp_dim: Annotated[int, Bounds(1, 2**20)]
    score: Score
    interval: tuple[Score, Score]
    params: Number
    macs: Number
    file_bytes: Number
    latency_ms: Annotated[float, Bounds(0, 1e9)]
    energy_threshold: Annotated[float, Bounds(-1e6, 1e6)] | None = None
    others_kept: Annotated[float, Bounds(0, 1)] | None = None
    undisturbed_ms: Annotated[float, Bounds(0, 1e9)] | None = None
    other_row: Annotated[tuple[Annotated[float, Bounds(-1e6, 1e6)], ...], Bounds(1, 2**16)] | None = None
    noise_kept: Annotated[float, Bounds(0, 1)] | None = None
    per_doubling: Annotated[float, Bounds(-1e6, 1e6)] | None = None

    def of(self, spec: TransformerSpec) -> TransformerSpec:
        """This size of student, of those that `spec` is one of."""
        return spec.resized(self.embed_dim, self.depth, self.num_heads, self.mlp_dim)

    def is_plausible(self, metric: Metric) -> bool:
        """Whether its score lies in its interval, and that where such scores lie."""
        low, high = self.interval
        return low - ROUNDING <= self.score <= high + ROUNDING and high <= metric.highest

    def timed(self, measured: Elapsed) -> MeasuredSize:
        """The same with another latency."""
        return replace(self, latency_ms=measured["median_ms"], undisturbed_ms=measured["undisturbed_ms"])

    @property
    def latency(self) -> Elapsed:
        """By the clock, and without what other programs took as far as that is known."""
        undisturbed = self.latency_ms if self.undisturbed_ms is None else self.undisturbed_ms
        return Elapsed(median_ms=self.latency_ms, undisturbed_ms=undisturbed)


@dataclass(frozen=True)
class SizeTable:
    """Sizes of a projector's students, those with fewer parameters first.

    Args:
        weights_sha256: of the `projector.safetensors` that they are students of.
        metric: the name of what `score` is.
        num_classes: of the models that were measured.
        batch, threads: images in a forward pass whose `latency_ms` was measured, and threads that computed it.
        machine: what it was measured on.
        versions: of the packages that it was measured with.
        recommended: the position of the size that is made where none is asked for.
        sizes: what was measured.
        task_classes: how many classes the validation tasks have: the fewest, the geometric mean and the most.
    """

    weights_sha256: str
    metric: str
    num_classes: Annotated[int, Bounds(1, 2**16)]
    batch: Batch
    threads: Threads
    machine: str
    versions: Mapping[str, str]
    recommended: Annotated[int, Bounds(0, 2**16)]
    sizes: Annotated[tuple[MeasuredSize, ...], Bounds(1, 2**12)]
    task_classes: tuple[Number, Annotated[float, Bounds(1, 2**60)], Number] | None = None

    @property
    def measure(self) -> Metric:
        """What `score` is."""
        return METRICS[self.metric]

    def score_of(self, spec: TransformerSpec) -> float | None:
        """The score of a size; None where it was not measured."""
        return next((size.score for size in self.sizes if size.of(spec) == spec), None)

    def threshold_of(self, spec: TransformerSpec, num_classes: int) -> tuple[float | None, Sequence[float]]:
        """The energy threshold and the other row of a size, or of the nearest: of its depth, if any, and by parameters.

        A row is for sizes of its width alone: where none was measured of that width, there is no threshold.
        """
        fitting = [size for size in self.sizes if size.other_row is None or size.embed_dim == spec.embed_dim]
        if not fitting:
            return None, ()
        params = spec.deployed_params(num_classes)

        def distance(size: MeasuredSize) -> tuple[bool, int]:
            return size.depth != spec.depth, abs(size.of(spec).deployed_params(num_classes) - params)

        nearest = min(fitting, key=distance)
        return nearest.energy_threshold, nearest.other_row or ()

    def expected(self, size: MeasuredSize, num_classes: int) -> tuple[float, tuple[float, float]]:
        """The score of a size, with its interval, on tasks of so many classes, as validation tasks have it.

        A straight line through their scores against the logarithm of their number of classes; the interval is that of
        the mean. As measured where the table says nothing of that.
        """
        if size.per_doubling is None or self.task_classes is None:
            return size.score, size.interval
        more = size.per_doubling * math.log2(num_classes / self.task_classes[1])
        score, low, high = (min(max(value + more, 0.0), self.measure.highest) for value in (size.score, *size.interval))
        return score, (low, high)

    def best_first(self, spec: TransformerSpec) -> list[TransformerSpec]:
        """All sizes by score, the smaller first where it is the same."""
        sign = -1 if self.measure.higher_is_better else 1
        return [size.of(spec) for size in sorted(self.sizes, key=lambda size: (sign * size.score, size.params))]

    def save(self, folder: Path) -> None:
        """Write it into a projector's folder."""
        with write_atomically(folder / SIZES) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=2) + "\n")

    @classmethod
    def from_json(cls, described: object) -> SizeTable:
        """Read back what `to_json` gave.

        Raises:
            InputError: a key is not as it should be, or contradicts another.
        """
        table = from_json(cls, described, exact=True)
        if table.metric not in METRICS:
            raise InputError(f"metric: {table.metric[:40]!r} is none of {', '.join(METRICS)}")
        if crossed := next((size for size in table.sizes if not size.is_plausible(table.measure)), None):
            raise InputError(
                f"sizes: {written(crossed)}: its score and interval contradict each other, or {table.metric}"
            )
        for size in table.sizes:
            if size.other_row is not None and len(size.other_row) != size.embed_dim:
                raise InputError(f"sizes: {written(size)}: other_row: {len(size.other_row)} numbers are not its width")
        if table.recommended >= len(table.sizes):
            raise InputError(f"recommended: {table.recommended} is no position among {len(table.sizes)} sizes")
        return table

    def to_json(self) -> dict[str, object]:
        """Its fields; those of `LATER` where they were measured, so that older tables are written as they were."""
        described = to_json(self)
        for fields in (described, *described["sizes"]):
            for name in LATER.intersection(fields):
                if fields[name] is None:
                    del fields[name]
        return described


def read_size_table(folder: Path, weights_sha256: str) -> SizeTable | None:
    """The table in a projector's folder; None where there is none.

    Raises:
        InputError: it cannot be read, contradicts itself, or is of other weights than these.
    """
    path = folder / SIZES
    if not path.exists():
        return None
    try:
        table = SizeTable.from_json(read_json(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; {REMAKE}") from error
    if table.weights_sha256 != weights_sha256:
        raise InputError(f"{path}: is of another projector, or of this one before it was trained anew; {REMAKE}")
    return table
