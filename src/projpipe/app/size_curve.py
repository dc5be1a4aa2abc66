"""The size curve as SVG in the page: scores of a projector's sizes against what they cost, and where a model stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from projpipe.metric import Metric
from projpipe.students.size_table import MeasuredSize

WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 36
TICKS = [digit * 10.0**power for power in range(-3, 10) for digit in (1, 2, 5)]
MOST_TICKS = 5


def size_curve(
    sizes: Sequence[MeasuredSize],
    chosen: MeasuredSize,
    recommended: MeasuredSize,
    metric: Metric,
    cost: Callable[[MeasuredSize], float],
    axis: str,
) -> str:
    """All sizes with their 95 % intervals, and a line along those that are better than all cheaper ones.

    The recommended one has a ring, and the chosen one is filled.

    Args:
        sizes: the cheaper first.
        cost: of a size, what the horizontal axis shows; `axis` names it.
    """
    across = _log_scale([cost(size) for size in sizes])
    up = _linear_scale([value for size in sizes for value in size.interval])
    points = [(across(cost(size)), up(size.score)) for size in sizes]
    parts = [*_across_ticks(sizes, cost, across), *_up_ticks(sizes, metric, up)]
    for size, (x, _) in zip(sizes, points, strict=True):
        low, high = map(up, size.interval)
        parts.append(f'<line class="pp-interval" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
    best = [size for n, size in enumerate(sizes) if all(metric.better(size.score, one.score) for one in sizes[:n])]
    line = " ".join(f"{across(cost(size)):.1f},{up(size.score):.1f}" for size in best)
    parts.append(f'<polyline class="pp-line" points="{line}"/>')
    parts += [f'<circle class="pp-size" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
    x, y = across(cost(recommended)), up(recommended.score)
    parts.append(f'<circle class="pp-ring" cx="{x:.1f}" cy="{y:.1f}" r="10"/>')
    x, y, (low, high) = across(cost(chosen)), up(chosen.score), map(up, chosen.interval)
    parts.append(f'<line class="pp-interval pp-chosen" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
    parts.append(f'<circle class="pp-chosen" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">{escape(axis)}</text>')
    said = f"{metric.named(chosen.score)} of this size, on a curve of {len(sizes)} sizes against {axis}"
    return (
        f'<svg class="pp-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">'
        f"{''.join(parts)}</svg>"
    )


def _log_scale(values: Sequence[float]) -> Callable[[float], float]:
    """Where a cost stands across the picture."""
    low, high = math.log(max(1e-9, min(values))), math.log(max(1e-9, *values))
    room = 0.04 * (high - low) or 1.0
    return _scale(low - room, high + room, LEFT, WIDTH - RIGHT, lambda value: math.log(max(1e-9, value)))


def _linear_scale(values: Sequence[float]) -> Callable[[float], float]:
    """Where a score stands in the picture's height."""
    room = 0.04 * (max(values) - min(values)) or 0.01
    return _scale(min(values) - room, max(values) + room, HEIGHT - BOTTOM, TOP, float)


def _scale(low: float, high: float, start: float, end: float, of: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: start + (of(value) - low) / (high - low) * (end - start)


def _across_ticks(
    sizes: Sequence[MeasuredSize], cost: Callable[[MeasuredSize], float], across: Callable[[float], float]
) -> list[str]:
    within = [tick for tick in TICKS if LEFT <= across(tick) <= WIDTH - RIGHT] or [cost(sizes[0])]
    step = -(-len(within) // MOST_TICKS)
    return [f'<text x="{across(tick):.1f}" y="{HEIGHT - BOTTOM + 15}">{_short(tick)}</text>' for tick in within[::step]]


def _up_ticks(sizes: Sequence[MeasuredSize], metric: Metric, up: Callable[[float], float]) -> list[str]:
    low, high = min(size.interval[0] for size in sizes), max(size.interval[1] for size in sizes)
    step = _round_step((high - low) * metric.scale or 1.0) / metric.scale
    ticks = [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    digits = max(0, -math.floor(math.log10(step * metric.scale) + 1e-9))
    unit = f" {metric.unit}" if metric.unit else ""
    labels = [f"{tick * metric.scale:.{digits}f}{unit}" for tick in ticks]
    return [
        f'<line class="pp-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>'
        f'<text class="pp-left" x="{LEFT - 5}" y="{up(tick) + 4:.1f}">{label}</text>'
        for tick, label in zip(ticks, labels, strict=True)
    ]


def _round_step(span: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that fits into a span four times at most."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(digit * power for digit in (1, 2, 5, 10) if span / (digit * power) <= 4)


def _short(value: float) -> str:
    """A number as an axis shows it: '0.2', '5k', '2M'."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
