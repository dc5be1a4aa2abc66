"""What a model may cost at most, as people write it, and the sizes that are within it; without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from projpipe.errors import InputError
from projpipe.record import Bounds, from_json
from projpipe.students.elapsed import Elapsed, milliseconds
from projpipe.transformer.spec import TransformerSpec, written

MARGIN = 0.03  # share of a latency that is left free: what is measured twice differs by as much
CANDIDATES = 30  # most sizes whose latency is measured
Batch = Annotated[int, Bounds(1, 2**16)]
Threads = Annotated[int, Bounds(1, 2**10)]
_COUNT = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3}


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
    threads = f"{limits.threads} thread{'s' * (limits.threads > 1)}"
    raise InputError(
        f"max-latency: none of {len(fitting)} sizes takes {limits.max_latency_ms:g} ms or less here, with "
        f"{MARGIN:.0%} to spare, {threads} and batches of {limits.batch}; the fastest takes "
        f"{milliseconds(fastest, '.3g')} ms: {written(size)}"
    )


def _by_clock(measured: Elapsed) -> float:
    return measured["median_ms"]


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
