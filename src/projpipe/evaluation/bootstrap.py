"""95 % intervals by the bootstrap over seeds, tasks and classes with their test images.

Every seed is judged on the same tasks, and tasks share classes and test images. Three things are drawn anew, each by
itself: seeds, tasks, and classes, each with all of its images. What they add to the mean is added up: A. C. Davison and
D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8; A. B. Owen, The pigeonhole bootstrap, Annals
of Applied Statistics 1(2), 2007. The noise of a class's images is in its mean, so that images are not drawn once more.

The percentile interval of few values is too narrow: that of three seeds leaves out the mean they were drawn from in one
of four cases. What each adds to the mean is therefore widened to what Student's t asks for that many values, after T.
C. Hesterberg, What teachers should know about the bootstrap, The American Statistician 69(4), 2015. In the simulations
of `tests/evaluation/test_bootstrap.py` the interval holds the mean in 94 to 99 of 100 cases; one that draws seeds and
tasks alone does in as few as 40. What a class adds is in its tasks too, so that it is wider than it need be where tasks
share many classes. Of two values it stays too narrow.
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


class Parts(NamedTuple):
    """The parts of tasks that scores are of: the images of one class in one task each.

    Args:
        tasks: of which task `[P]`, any numbers.
        classes: of which class `[P]`, any numbers.
        shares: of the task's images `[P]`; those of a task add up to one.
    """

    tasks: NDArray[np.int64]
    classes: NDArray[np.int64]
    shares: NDArray[np.float64]


def mean_with_interval(
    scores: NDArray[np.float64], parts: Parts, samples: int, rng: np.random.Generator
) -> MeanWithInterval:
    """Mean over seeds and tasks of `scores` [seeds, parts], and its 95 % interval.

    Hand in differences of two methods, paired by seed and part, for the interval of a difference. A single seed,
    class or task adds no spread: the interval holds that of the others alone.

    >>> parts = Parts(np.array([0, 0, 1]), np.array([3, 4, 4]), np.array([0.5, 0.5, 1.0]))
    >>> mean_with_interval(np.full((2, 3), 0.5), parts, samples=100, rng=np.random.default_rng(0))
    MeanWithInterval(mean=0.5, low=0.5, high=0.5)
    """
    mean, drawn = resampled_means(scores, parts, samples, rng)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return MeanWithInterval(mean, float(low), float(high))


def resampled_means(
    scores: NDArray[np.float64], parts: Parts, samples: int, rng: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """Mean over seeds and tasks of `scores` [seeds, parts], and those of `samples` bootstrap draws.

    Called with equally seeded generators, it draws the same seeds, tasks and classes for all scores of a shape.
    """
    tasks, classes = (np.unique(ids, return_inverse=True)[1] for ids in (parts.tasks, parts.classes))
    weights = parts.shares / (tasks.max() + 1)
    of_seeds = scores @ weights
    mean = of_seeds.mean()
    above = scores.mean(0) - mean
    of_tasks, of_classes = (np.bincount(ids, above * weights) for ids in (tasks, classes))
    means = np.full(samples, mean)
    for added in ((of_seeds - mean) / len(of_seeds), of_tasks, of_classes):
        count = len(added)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=samples)
        means += (drawn - 1) @ added * _widening(count)
    return float(mean), means


def _widening(count: int) -> float:
    """By how much the interval of a mean of `count` values is wider than the bootstrap has it."""
    return 1.0 if count == 1 else float(t.ppf(0.975, count - 1) / norm.ppf(0.975) * np.sqrt(count / (count - 1)))
