"""What a projector's students of many sizes were measured to be, and the choice of a size by limits.

The table is a file in the projector's folder, beside its manifest, which does not know of it: it is measured after the
projector is trained, and may be measured anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from projpipe.atomic import write_atomically
from projpipe.errors import InputError
from projpipe.metric import METRICS, Metric
from projpipe.record import Bounds, from_json, read_json, to_json
from projpipe.students.elapsed import Elapsed, milliseconds
from projpipe.transformer.spec import Depth, Size, TransformerSpec

SIZES = "sizes.json"
REMAKE = "delete it; `kedro run --pipelines sweep_students` makes it anew"
_COUNT = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3}
MARGIN = 0.03  # share of a latency that is left free: what is measured twice differs by as much
ROUNDING = 1e-6  # of a mean
CANDIDATES = 30  # most sizes whose latency is measured
Batch = Annotated[int, Bounds(1, 2**16)]
Threads = Annotated[int, Bounds(1, 2**10)]
Score = Annotated[float, Bounds(0, 1e6)]
Number = Annotated[int, Bounds(0, 2**60)]


@dataclass(frozen=True)
class MeasuredSize:
    """One size of student.

    `score` is the mean over validation tasks, with its 95 % `interval`; `params`, `macs` (multiply-accumulates of one
    image), `file_bytes` (of `model.safetensors`) and `latency_ms` are of models for the table's number of classes.
    `undisturbed_ms` is the latency without what other programs took, where that was measured, see `Elapsed`.
    `energy_threshold` is what classifiers of this size take for none of their classes below, and `others_kept` the
    share of images of other classes that they take for theirs all the same.
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

    @property
    def measure(self) -> Metric:
        """What `score` is."""
        return METRICS[self.metric]

    def score_of(self, spec: TransformerSpec) -> float | None:
        """The score of a size; None where it was not measured."""
        return next((size.score for size in self.sizes if size.of(spec) == spec), None)

    def threshold_of(self, spec: TransformerSpec, num_classes: int) -> float | None:
        """The energy threshold of a size, or of that with the most similar number of parameters."""
        params = spec.deployed_params(num_classes)
        sizes = [size.of(spec) for size in self.sizes]
        nearest = min(range(len(sizes)), key=lambda i: abs(sizes[i].deployed_params(num_classes) - params))
        return self.sizes[nearest].energy_threshold

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
        if table.recommended >= len(table.sizes):
            raise InputError(f"recommended: {table.recommended} is no position among {len(table.sizes)} sizes")
        return table

    def to_json(self) -> dict[str, object]:
        """Its fields; `undisturbed_ms` where it was measured, so that older tables are written as they were."""
        described = to_json(self)
        for size in described["sizes"]:
            if size["undisturbed_ms"] is None:
                del size["undisturbed_ms"]
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


@dataclass(frozen=True)
class Limits:
    """What a model may be at most; None is no limit.

    `size` is one size instead: width, depth, and if they are not to be the largest's, heads and hidden units.
    """

    size: tuple[int, ...] | None = None
    max_parameters: int | None = None
    max_macs: int | None = None
    max_latency_ms: float | None = None
    batch: int = 1
    threads: int = 1

    @classmethod
    def of(
        cls,
        size: str | None = None,
        max_parameters: str | int | None = None,
        max_macs: str | int | None = None,
        max_latency: str | None = None,
        batch: int | None = None,
        threads: int | None = None,
    ) -> Limits:
        """Limits as people write them: `24x2` or `24x2x4x96`, `50k`, `1M`, `2ms`.

        Raises:
            InputError: one cannot be read, a size and limits are given, or a batch or threads without a latency.
        """
        limits = cls(
            None if size is None else _size(size),
            None if max_parameters is None else _count("max-parameters", max_parameters),
            None if max_macs is None else _count("max-macs", max_macs),
            None if max_latency is None else _milliseconds(max_latency),
            from_json(Batch, 1 if batch is None else batch, "batch"),
            from_json(Threads, 1 if threads is None else threads, "threads"),
        )
        if limits.size and (limits.max_parameters or limits.max_macs or limits.max_latency_ms):
            raise InputError("size: is one size, and limits choose among them; give the one or the others")
        if limits.max_latency_ms is None and (batch or threads):
            raise InputError("batch, threads: say how max-latency is measured; give it too, or leave them out")
        return limits

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.size or self.max_parameters or self.max_macs or self.max_latency_ms)


def within_counts(candidates: Sequence[TransformerSpec], num_classes: int, limits: Limits) -> Sequence[TransformerSpec]:
    """Sizes that are within the limits of parameters and multiply-accumulates, for models of so many classes.

    Raises:
        InputError: there is none; names the nearest.
    """
    fitting = candidates
    for name, limit, cost in (
        ("max-parameters", limits.max_parameters, TransformerSpec.deployed_params),
        ("max-macs", limits.max_macs, TransformerSpec.deployed_macs),
    ):
        if limit is None:
            continue
        least = min(cost(size, num_classes) for size in fitting)
        if least > limit:
            nearest = min(fitting, key=lambda size: cost(size, num_classes))
            raise InputError(f"{name}: no size has {limit:,} or fewer; the least is {least:,}, of {written(nearest)}")
        fitting = [size for size in fitting if cost(size, num_classes) <= limit]
    return fitting


def fast_enough(
    fitting: Sequence[TransformerSpec], limits: Limits, latency: Callable[[TransformerSpec], Elapsed]
) -> tuple[TransformerSpec, Elapsed | None]:
    """The first of some sizes that is within the limit of latency, and its latency; without a limit, the first.

    A latency is within its limit where it is so twice by the clock, with `MARGIN` to spare.

    Args:
        fitting: the best first.
        latency: measures a size.

    Raises:
        InputError: there is none; names the fastest.
    """
    if limits.max_latency_ms is None:
        return fitting[0], None
    allowed = limits.max_latency_ms * (1 - MARGIN)
    some = range(min(CANDIDATES, len(fitting)))
    fitting = [fitting[round(i * (len(fitting) - 1) / max(1, len(some) - 1))] for i in some]
    measured: list[Elapsed] = []
    for size in fitting:
        measured.append(latency(size))
        if measured[-1]["median_ms"] <= allowed:
            measured[-1] = max(measured[-1], latency(size), key=_by_clock)
        if measured[-1]["median_ms"] <= allowed:
            return size, measured[-1]
    fastest, size = min(zip(measured, fitting, strict=True), key=lambda found: _by_clock(found[0]))
    raise InputError(
        f"max-latency: no size takes {limits.max_latency_ms:g} ms or less here, with {MARGIN:.0%} to spare, "
        f"{limits.threads} thread{'s' * (limits.threads > 1)} and batches of {limits.batch}; the fastest takes "
        f"{milliseconds(fastest, '.3g')} ms: {written(size)}"
    )


def _by_clock(measured: Elapsed) -> float:
    return measured["median_ms"]


def written(spec: TransformerSpec | MeasuredSize) -> str:
    """A size as `Limits.of` reads it."""
    return f"{spec.embed_dim}x{spec.depth}x{spec.num_heads}x{spec.mlp_dim}"


def _size(text: str) -> tuple[int, ...]:
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,6}){1,3}", text):
        raise InputError(
            f"size: {str(text)[:40]!r} is no size; write width x depth as 24x2, or with heads and hidden units as "
            "24x2x4x96"
        )
    return tuple(map(int, text.split("x")))


def _count(name: str, given: str | int) -> int:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?([kmg]?)", str(given).lower())
    number = round(float(found[1]) * _COUNT[found[2]]) if found else 0
    if number < 1:
        raise InputError(f"{name}: {str(given)[:40]!r} is no number of them; write it as 5000, 50k or 1.5M")
    return number


def _milliseconds(given: str) -> float:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?(us|µs|μs|ms|s)", str(given).lower())
    milliseconds = float(found[1]) * _MILLISECONDS[found[2]] if found else 0.0
    if not milliseconds:
        raise InputError(f"max-latency: {str(given)[:40]!r} is no time; write it with its unit, as 500us, 2ms or 1s")
    return milliseconds
