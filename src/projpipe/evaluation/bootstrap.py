"""95 % intervals by the hierarchical bootstrap over seeds and tasks.

Seeds and tasks are crossed (every seed is judged on the same tasks), so that both are resampled with replacement and
one draw of tasks serves all drawn seeds: A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application,
1997, section 3.8; A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.

The percentile interval of few values is too narrow: that of three seeds leaves out the mean they were drawn from in
one of four cases. What seeds and tasks add to the mean is therefore widened to what Student's t asks for that many
values, after T. C. Hesterberg, What teachers should know about the bootstrap, The American Statistician 69(4), 2015.
Of two values it stays too narrow; where seeds and tasks interact it is wider than it need be.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t


class MeanWithInterval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def mean_with_interval(values: NDArray[np.float64], samples: int, rng: np.random.Generator) -> MeanWithInterval:
    """Mean of `values` [seeds, tasks] and its 95 % interval from `samples` bootstrap draws.

    Hand in differences of two methods, paired by seed and task, for the interval of a difference. A single seed,
    or a single task, adds no spread: the interval holds that of the others alone.

    >>> mean_with_interval(np.full((2, 3), 0.5), samples=100, rng=np.random.default_rng(0))
    MeanWithInterval(mean=0.5, low=0.5, high=0.5)
    """
    mean = values.mean()
    of_seeds, of_tasks = (values.mean(axis, keepdims=True) - mean for axis in (1, 0))
    seeds, tasks = values.shape
    widened = values + (_widening(seeds) - 1) * of_seeds + (_widening(tasks) - 1) * of_tasks
    # A resample enters its mean only by how often each row and column was drawn: two multinomials [samples, *].
    seed_shares, task_shares = (rng.multinomial(n, np.full(n, 1 / n), size=samples) / n for n in values.shape)
    means = np.einsum("bs,st,bt->b", seed_shares, widened, task_shares, optimize=True)
    low, high = np.percentile(means, [2.5, 97.5])
    return MeanWithInterval(float(mean), float(low), float(high))


def _widening(count: int) -> float:
    """By how much the interval of a mean of `count` values is wider than the bootstrap has it."""
    return 1.0 if count == 1 else float(t.ppf(0.975, count - 1) / norm.ppf(0.975) * np.sqrt(count / (count - 1)))
