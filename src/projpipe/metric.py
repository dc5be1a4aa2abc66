"""What models are judged by: the name of the measure, its direction, and how it is written for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Candidate = TypeVar("Candidate")

NO_DIFFERENCE, TOO_FEW = UNCLEAR = ("no difference shown", "too few tasks to tell")
Z = 1.959964  # of a normal distribution, 95 % of which is nearer to its mean


@dataclass(frozen=True)
class Metric:
    """A measure of a model on a task.

    Args:
        name: as in `metrics.json`.
        title: its name for people.
        unit: behind a value, "%"; "" for none.
        step: the unit of a difference, short; `step_title` is the same in full.
        scale: what a stored value is multiplied with when it is written.
        decimals: how many are written.
        higher_is_better: its direction.
        matters: a difference that counts in use, as it is stored: of accuracy 5 points, 1 image in 20.
        highest: what no value passes; the lowest is 0.
    """

    name: str
    title: str
    unit: str
    step: str
    step_title: str
    scale: float
    decimals: int
    higher_is_better: bool
    matters: float
    highest: float = math.inf

    @property
    def heading(self) -> str:
        """What stands above a column of values: 'accuracy in %'."""
        return f"{self.title} in {self.unit}" if self.unit else self.title

    @property
    def direction(self) -> str:
        """What a reader has to be told: 'fewer are better'; "" where more are, as everyone expects."""
        return "" if self.higher_is_better else "fewer are better"

    def axis(self, on: str = "") -> str:
        """What stands beside an axis of values: 'accuracy (%)'; `on` says of what they are: ' on validation tasks'."""
        return f"{self.title}{on} ({self.unit})" if self.unit else f"{self.title}{on}"

    def text(self, value: float) -> str:
        """A value without its unit: an accuracy of 0.9712 is '97.1'."""
        return f"{self.scale * value:.{self.decimals}f}"

    def value(self, value: float) -> str:
        """A value with its unit: '97.1 %'."""
        return f"{self.text(value)} {self.unit}".rstrip()

    def named(self, value: float) -> str:
        """A value with its unit behind the measure's name: 'accuracy 97.1 %'."""
        return f"{self.title} {self.value(value)}"

    def ends(self, interval: Sequence[float]) -> str:
        """The ends of an interval of values: of accuracies '[95.0, 98.8]'."""
        return f"[{', '.join(map(self.text, interval))}]"

    def difference(self, value: float) -> str:
        """A difference with its sign: -0.0034 of accuracy is '−0.3' with a true minus sign."""
        return f"{self.scale * value:+.{self.decimals}f}".replace("-", "\N{MINUS SIGN}")

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.higher_is_better else one < other

    def best(self, candidates: Iterable[Candidate], value: Callable[[Candidate], float]) -> Candidate:
        """The candidate with the best value; of several, the first."""
        return (max if self.higher_is_better else min)(candidates, key=value)

    def verdict(self, interval: Sequence[float], seeds: int) -> str:
        """What a 95 % interval [low, high] of a difference says: 'better', 'worse' or one of `UNCLEAR`.

        'no difference shown' only where the interval holds zero and leaves out all that `matters`, on both sides: what
        a test of equivalence asks (D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). A
        wider one, and one of no width beside zero, which is of a single value, say nothing: 'too few tasks to tell'.
        One seed shows nothing of training runs.
        """
        low, high = interval
        if low <= 0 <= high or low == high or seeds == 1:
            return NO_DIFFERENCE if max(-low, high) <= self.matters and (low < high or low == 0) else TOO_FEW
        return "better" if self.better(low, 0.0) else "worse"


ACCURACY = Metric(
    "accuracy",
    "accuracy",
    "%",
    "points",
    "percentage points",
    scale=100,
    decimals=1,
    higher_is_better=True,
    matters=0.05,
    highest=1.0,
)
BITS_PER_PIXEL = Metric(
    "bits_per_pixel",
    "bits per pixel",
    "",
    "bits",
    "bits per pixel",
    scale=1,
    decimals=4,
    higher_is_better=False,
    matters=0.02,
)
BITS_PER_TOKEN = Metric(
    "bits_per_token",
    "bits per token",
    "",
    "bits",
    "bits per token",
    scale=1,
    decimals=3,
    higher_is_better=False,
    matters=0.05,
)
METRICS = {metric.name: metric for metric in (ACCURACY, BITS_PER_PIXEL, BITS_PER_TOKEN)}


def share_interval(share: float, count: int) -> tuple[float, float]:
    """The ends of the 95 % interval of a share of independent pictures, after E. B. Wilson, JASA 22, 1927."""
    centre, spread = share + Z * Z / (2 * count), Z * math.sqrt((share * (1 - share) + Z * Z / (4 * count)) / count)
    low, high = ((centre + sign * spread) / (1 + Z * Z / count) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)
