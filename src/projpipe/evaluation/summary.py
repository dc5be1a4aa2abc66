"""Mean scores by method and kind of task, and paired differences, with their 95 % intervals.

They are the part that `metrics.json` and `comparison.json` share, so that their types are those of JSON.
"""

from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from projpipe.evaluation.bootstrap import Parts, mean_with_interval, resampled_means
from projpipe.metric import Metric
from projpipe.tasks.task import are_coherent

# Where a kind has both coherent tasks and random ones, they are reported separately besides, under these names.
SORTS = {"new_combination": ("coherent", "random"), "new_class": ("coherent_new_class", "random_new_class")}
REPORTED_KINDS = ("new_combination", "new_class", "train")
DIGITS = 6
SAMPLES = 1000  # of the bootstrap, for the score of one model
PART = ["task_id", "class_id", "share"]  # of a task: one of its classes, and its share of the task's images


class Measured(TypedDict):
    """A mean and the ends of its 95 % interval, [low, high]."""

    mean: float
    ci95: list[float]


class Score(Measured):
    """A mean score, over the seeds and over so many tasks."""

    tasks: int


class Difference(Measured):
    """By how much one method's score is above another's; `by_seed` are the means over the tasks, seed by seed."""

    by_seed: list[float]


class Summary(TypedDict):
    """Scores by method and kind of task, and differences by 'reference-method' and kind of task.

    Scores are as they are, whichever direction is better.
    """

    results: dict[str, dict[str, Score]]
    differences: dict[str, dict[str, Difference]]


class Headroom(TypedDict):
    """What fine-tuning for each task adds to a shared model, and how much of it the reference has.

    `points`: by how much the specialist is above the best shared model, on the tasks that it has. `share`: the part of
    it by which the reference is above that model; None where the specialist is not shown to be above it.
    """

    specialist: str
    shared: str
    points: dict[str, Measured]
    share: dict[str, Measured | None]


ByKind = dict[str, pd.DataFrame]  # scores by seed, in rows, and by part of a task, in columns


class Summariser:
    """Means and differences of methods, out of one table of results, with their intervals.

    Args:
        results: with the columns of `schemas.RESULTS`.
        samples: bootstrap draws.
    """

    def __init__(self, results: pd.DataFrame, metric: Metric, samples: int, seed: int) -> None:
        self.metric, self.samples, self.seed = metric, samples, seed
        kinds = {kind: _by_class(rows) for kind, rows in _by_kind(results).items()}
        self.tables: dict[str, ByKind] = {
            str(method): {
                kind: rows.pivot(index="seed", columns=PART, values="score")
                for kind, of_kind in kinds.items()
                if len(rows := of_kind[of_kind["method"] == method])
            }
            for method in results["method"].unique()
        }
        for by_kind in self.tables.values():
            for kind, (coherent, random) in SORTS.items():
                if coherent in by_kind and random not in by_kind:
                    del by_kind[kind]  # of which it has the coherent ones alone

    def summary(self, reference: str) -> Summary:
        """Mean score by method and kind of task, and the difference of the reference to each other method.

        Differences are paired by seed and test image, on the tasks that both methods have; a method with a single
        seed, such as the teacher, is paired with every seed. Tasks whose classes belong together (coherent) and
        random ones are given separately too, where there are both.
        """
        return {
            "results": {
                method: {kind: self._score(table) for kind, table in by_kind.items()}
                for method, by_kind in self.tables.items()
            },
            "differences": {
                f"{reference}-{method}": {
                    kind: self._difference(reference, method, kind)
                    for kind in self.tables[reference]
                    if kind in by_kind
                }
                for method, by_kind in self.tables.items()
                if method != reference
            },
        }

    def headroom(self, reference: str, shared: str, specialist: str) -> Headroom:
        """Of the reference, by kind of task; paired as differences are."""
        points: dict[str, Measured] = {}
        share: dict[str, Measured | None] = {}
        for kind, table in self.tables[specialist].items():
            room = self._gains(specialist, shared, kind)
            caught = self._gains(reference, shared, kind)[table.columns]
            points[kind] = self._measured(room, -self.metric.highest)
            share[kind] = None
            if self.metric.verdict(points[kind]["ci95"], len(room)) == "better":
                (all_of_it, of_room), (of_it, of_caught) = self._resampled(room), self._resampled(caught)
                low, high = np.percentile(of_caught / of_room, [2.5, 97.5])
                share[kind] = Measured(
                    mean=round(of_it / all_of_it, DIGITS), ci95=[round(low, DIGITS), round(high, DIGITS)]
                )
        return {"specialist": specialist, "shared": shared, "points": points, "share": share}

    def _score(self, table: pd.DataFrame) -> Score:
        return {**self._measured(table, 0.0), "tasks": table.columns.get_level_values("task_id").nunique()}

    def _difference(self, reference: str, method: str, kind: str) -> Difference:
        gains = self._gains(reference, method, kind)
        return {**self._measured(gains, -self.metric.highest), "by_seed": _of_seeds(gains).round(DIGITS).tolist()}

    def _gains(self, method: str, other: str, kind: str) -> pd.DataFrame:
        """By how much one method is above another, for each of their common seeds and parts of tasks."""
        mine, theirs = self.tables[method][kind], self.tables[other][kind]
        common = mine.columns.intersection(theirs.columns)
        if len(theirs) == 1:
            return mine[common] - theirs[common].iloc[0]
        seeds = mine.index.intersection(theirs.index)
        if seeds.empty:
            raise ValueError(f"{method} and {other} have no seed in common")
        return mine.loc[seeds, common] - theirs.loc[seeds, common]

    def _measured(self, scores: pd.DataFrame, lowest: float) -> Measured:
        rng = np.random.default_rng(self.seed)
        mean, *ends = mean_with_interval(scores.to_numpy(), _parts(scores), self.samples, rng)
        possible = (min(max(end, lowest), self.metric.highest) for end in ends)
        return Measured(mean=round(mean, DIGITS), ci95=[round(end, DIGITS) for end in possible])

    def _resampled(self, scores: pd.DataFrame) -> tuple[float, NDArray[np.float64]]:
        return resampled_means(scores.to_numpy(), _parts(scores), self.samples, np.random.default_rng(self.seed))


def mean_score(scores: pd.DataFrame, metric: Metric) -> tuple[float, tuple[float, float]]:
    """The mean over tasks of one model's scores, a table as of `scores.task_scores`, and its 95 % interval."""
    by_class = _by_class(scores.assign(method="", seed=0)).pivot(index="seed", columns=PART, values="score")
    mean, low, high = mean_with_interval(by_class.to_numpy(), _parts(by_class), SAMPLES, np.random.default_rng(0))
    return round(mean, DIGITS), (round(max(low, 0.0), DIGITS), round(min(high, metric.highest), DIGITS))


def _by_kind(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of every reported kind of task that there is, in order."""
    kinds: dict[str, pd.DataFrame] = {}
    for kind in REPORTED_KINDS:
        kinds[kind] = rows = results[results["kind"] == kind]
        together = are_coherent(rows)
        if kind in SORTS and together.any() and not together.all():
            kinds |= dict(zip(SORTS[kind], (rows[together], rows[~together]), strict=True))
    return {kind: rows for kind, rows in kinds.items() if len(rows)}


def _by_class(results: pd.DataFrame) -> pd.DataFrame:
    """A row for each class of each row of results: the mean score on its test images, and what `PART` names."""
    shown = ["method", "seed", "task_id", "images", "class_ids", "image_scores"]
    parts = results[shown].explode(["class_ids", "image_scores"]).rename(columns={"class_ids": "class_id"})
    counts = parts["image_scores"].map(len)
    parts = parts[counts > 0].assign(share=counts / parts["images"])
    return parts.assign(score=parts.pop("image_scores").map(np.mean))


def _parts(scores: pd.DataFrame) -> Parts:
    """Those that the columns of a table of scores are of."""
    tasks, classes, shares = (scores.columns.get_level_values(name).to_numpy() for name in PART)
    return Parts(tasks, classes.astype(np.int64), shares)


def _of_seeds(scores: pd.DataFrame) -> NDArray[np.float64]:
    """The mean over tasks, seed by seed."""
    tasks, _, shares = _parts(scores)
    of_seeds: NDArray[np.float64] = scores.to_numpy() @ shares / len(np.unique(tasks))
    return of_seeds
