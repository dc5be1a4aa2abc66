"""Mean scores by method and kind of task, and paired differences, with their 95 % intervals.

They are the part that `metrics.json` and `comparison.json` share, so that their types are those of JSON.
"""

from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from projpipe.evaluation.bootstrap import Parts, mean_with_interval
from projpipe.metric import Metric
from projpipe.tasks.task import are_coherent

REPORTED_KINDS = ("new_combination", "coherent", "random", "new_class", "train")
DIGITS = 6
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


def summarise(results: pd.DataFrame, reference: str, metric: Metric, bootstrap_samples: int, seed: int) -> Summary:
    """Mean score by method and kind of task, and the difference of the reference to each other method.

    Differences are paired by seed and test image, on the tasks that both methods have; a method with a single seed,
    such as the teacher, is paired with every seed. New combinations that belong together (coherent) and random ones are
    given separately too, where there are both. `results` has the columns of `schemas.RESULTS`.
    """

    def interval(scores: pd.DataFrame, lowest: float) -> Measured:
        mean, *ends = mean_with_interval(
            scores.to_numpy(), _parts(scores), bootstrap_samples, np.random.default_rng(seed)
        )
        possible = (min(max(end, lowest), metric.highest) for end in ends)
        return Measured(mean=round(mean, DIGITS), ci95=[round(end, DIGITS) for end in possible])

    kinds = {kind: _by_class(rows) for kind, rows in _by_kind(results).items()}
    tables = {
        str(method): {
            kind: rows.pivot(index="seed", columns=PART, values="score")
            for kind, of_kind in kinds.items()
            if len(rows := of_kind[of_kind["method"] == method])
        }
        for method in results["method"].unique()
    }
    ours = tables[reference]

    def difference(method: str, kind: str) -> Difference:
        mine, theirs = ours[kind], tables[method][kind]
        common = mine.columns.intersection(theirs.columns)
        if len(theirs) == 1:
            gains = mine[common] - theirs[common].iloc[0]
        elif (seeds := mine.index.intersection(theirs.index)).empty:
            raise ValueError(f"{reference} and {method} have no seed in common")
        else:
            gains = mine.loc[seeds, common] - theirs.loc[seeds, common]
        return {**interval(gains, -metric.highest), "by_seed": _of_seeds(gains).round(DIGITS).tolist()}

    return {
        "results": {
            method: {
                kind: {**interval(table, 0.0), "tasks": table.columns.get_level_values("task_id").nunique()}
                for kind, table in by_kind.items()
            }
            for method, by_kind in tables.items()
        },
        "differences": {
            f"{reference}-{method}": {kind: difference(method, kind) for kind in ours if kind in theirs}
            for method, theirs in tables.items()
            if method != reference
        },
    }


def _by_kind(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of every reported kind of task that there is, in order."""
    kinds = {kind: results[results["kind"] == kind] for kind in REPORTED_KINDS}
    new = kinds["new_combination"]
    coherent = are_coherent(new)
    if coherent.any() and not coherent.all():
        kinds |= {"coherent": new[coherent], "random": new[~coherent]}
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
