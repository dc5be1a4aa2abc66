"""The sizes between a smallest and a largest one, those of a training step, and which are refused; without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from math import ceil, log
from typing import TYPE_CHECKING

from projpipe.errors import InputError
from projpipe.transformer.spec import SIZE, TransformerSpec, written

if TYPE_CHECKING:
    import numpy as np

WIDTH_STEP = 4  # from one width to the next
RATIO_STEP = 0.5  # from one share of hidden units to the next
SMALLEST = 0.25  # how often the smallest size is among those of a step
MOST = 0.5  # how often a size that is drawn has as many heads, and as many hidden units, as its width allows


@dataclass(frozen=True)
class Sizes:
    """All sizes between two, ends included.

    Raises:
        InputError: the smallest is larger than the largest in some respect.
    """

    smallest: TransformerSpec
    largest: TransformerSpec
    place: str = "smallest"  # of its parameters, for errors

    def __post_init__(self) -> None:
        if problem := _beyond(self.smallest, self.largest):
            raise InputError(f"{self.place}: {problem}; make it smaller")

    def check(self, size: TransformerSpec, place: str) -> None:
        """Refuse a size that is not between the two.

        Raises:
            InputError: names the limit that it is beyond.
        """
        if problem := self.problem(size):
            raise InputError(f"{place}: {problem}; there are sizes from {self}")

    def problem(self, size: TransformerSpec) -> str:
        """In what a size is beyond the two; empty where it is between them."""
        return _beyond(size, self.largest) or _below(size, self.smallest)

    def nearest(self, size: TransformerSpec) -> TransformerSpec:
        """The size between the two, on the grid or not, that differs least from another, by ratio."""
        low, high = self.smallest, self.largest
        depth, hidden = (min(max(getattr(size, n), getattr(low, n)), getattr(high, n)) for n in ("depth", "mlp_dim"))
        heads, widths = range(low.num_heads, high.num_heads + 1), range(low.embed_dim, high.embed_dim + 1)
        every = (high.resized(w, depth, count, hidden) for count, w in product(heads, widths) if w % count == 0)
        return min((one for one in every if one in self), key=partial(_distance, size))

    def __contains__(self, size: TransformerSpec) -> bool:
        return not self.problem(size)

    def __str__(self) -> str:
        return f"{written(self.smallest)} to {written(self.largest)}"

    @cached_property
    def every(self) -> tuple[TransformerSpec, ...]:
        """Sizes on a grid, the smallest and the largest among them, by their parameters."""
        return self._grid(RATIO_STEP)

    def at_least(
        self, count: int, left: Callable[[Sequence[TransformerSpec]], Sequence[TransformerSpec]] = tuple
    ) -> Sequence[TransformerSpec]:
        """So many sizes: `every`, or those of a grid with ever smaller steps of hidden units, as far as there are.

        Args:
            left: what is left of a grid; all of it, unless there are limits.
        """
        step, found = RATIO_STEP, left(self.every)
        while len(found) < count and step * self.largest.embed_dim >= 1:
            step /= 2
            found = left(self._grid(step))
        return found

    def _grid(self, ratio_step: float) -> tuple[TransformerSpec, ...]:
        low, high = self.smallest, self.largest
        ends = (low.embed_dim, high.embed_dim)
        widths = {*ends, *range(-(-ends[0] // WIDTH_STEP) * WIDTH_STEP, ends[1] + 1, WIDTH_STEP)}
        steps = range(ceil((high.mlp_ratio - low.mlp_ratio) / ratio_step))
        ratios = {*(low.mlp_ratio + step * ratio_step for step in steps), low.mlp_ratio, high.mlp_ratio}
        depths, heads = range(low.depth, high.depth + 1), range(low.num_heads, high.num_heads + 1)
        found = {
            high.resized(width, depth, count, int(width * ratio))
            for width, depth, count, ratio in product(widths, depths, heads, ratios)
            if width % count == 0
        }
        return tuple(sorted({low, high, *(size for size in found if size in self)}, key=_by_size))

    def sandwich(self, seed: Sequence[int]) -> tuple[TransformerSpec, ...]:
        """The sizes of a training step: the largest, and two that a seed decides, the first at times the smallest."""
        import numpy as np  # which nothing else here needs, and no refusal is to wait for

        rng = np.random.default_rng(seed)
        first = self.smallest if rng.random() < SMALLEST else self._draw(rng)
        return self.largest, first, self._draw(rng)

    def _draw(self, rng: np.random.Generator) -> TransformerSpec:
        """A size of an even width and depth, in half of the cases with as many heads, and hidden units, as can be.

        It is not the largest, where there is another: what belongs to sizes learns in every step.
        """
        every = self.every[:-1] or self.every
        for name in SIZE:
            values = sorted({getattr(size, name) for size in every})
            most = name in ("num_heads", "mlp_dim") and rng.random() < MOST
            value = values[-1] if most else values[rng.integers(len(values))]
            every = tuple(size for size in every if getattr(size, name) == value)
        return every[0]


def _by_size(spec: TransformerSpec) -> tuple[int, ...]:
    return spec.deployed_params(2), spec.depth, spec.embed_dim, spec.num_heads, spec.mlp_dim


def _distance(one: TransformerSpec, other: TransformerSpec) -> float:
    return sum(abs(log(getattr(one, name) / getattr(other, name))) for name in SIZE)


def _beyond(size: TransformerSpec, largest: TransformerSpec) -> str:
    """In what a size is beyond the largest; empty where it is not."""
    for name in ("embed_dim", "depth", "num_heads", "head_dim", "mlp_dim"):
        if (asked := getattr(size, name)) > (limit := getattr(largest, name)):
            return f"{name} {asked} is above the {limit} of the largest"
    return ""


def _below(size: TransformerSpec, smallest: TransformerSpec) -> str:
    """In what a size is below the smallest; empty where it is not."""
    for name in SIZE:
        if (asked := getattr(size, name)) < (limit := getattr(smallest, name)):
            return f"{name} {asked} is below the {limit} of the smallest"
    return ""
