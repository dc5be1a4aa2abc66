"""How long something took, by the clock and without what other programs took, and how that is said.

One figure on a quiet machine, a range on a busy one: other programs make the clock's figure larger than it need be.
"""

from typing import TypedDict

QUIET = 1.15  # by how much a time by the clock is above the undisturbed one at most, where no other program runs


class Elapsed(TypedDict):
    """Time in milliseconds: the median by the clock, and without what other programs took.

    `undisturbed_ms` is the median of the time on the processor; with several threads, which wait for each other too, it
    is the fastest run.
    """

    median_ms: float
    undisturbed_ms: float


def milliseconds(measured: Elapsed, digits: str = ".2f") -> str:
    """The time of what was measured: '1.05', on a busy machine '12.85 to 21.21'."""
    return figure_or_range(measured["undisturbed_ms"], measured["median_ms"], digits)


def figure_or_range(undisturbed: float, by_clock: float, digits: str) -> str:
    """A figure that the clock gave, or on a busy machine the range between it and the undisturbed one."""
    low, high = sorted((undisturbed, by_clock))
    return f"{low:{digits}} to {high:{digits}}" if apart(low, high) else f"{by_clock:{digits}}"


def apart(one: float, other: float) -> bool:
    """Whether two figures are so far from each other that other programs ran meanwhile."""
    return max(one, other) > QUIET * min(one, other)
