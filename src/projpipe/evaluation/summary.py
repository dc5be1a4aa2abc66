"""Mean scores by method and kind of task, and paired differences, with their 95 % intervals.

They are the part that `metrics.json` and `comparison.json` share, so that their types are those of JSON.
"""

from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from projpipe.evaluation.bootstrap import mean_with_interval
from projpipe.metric import Metric
from projpipe.tasks.task import are_coherent

REPORTED_KINDS = ("new_combination", "coherent", "random", "new_class", "train")
DIGITS = 6


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

    Differences are paired by seed and task, on the tasks that both methods have; a method with a single seed, such as
    the teacher, is paired with every seed. New combinations that belong together (coherent) and random ones are given
    separately too, where there are both.
    """

    def interval(values: NDArray[np.float64], lowest: float) -> Measured:
        mean, *ends = mean_with_interval(values, bootstrap_samples, np.random.default_rng(seed))
        possible = (min(max(end, lowest), metric.highest) for end in ends)
        return Measured(mean=round(mean, DIGITS), ci95=[round(end, DIGITS) for end in possible])

    kinds = _by_kind(results)
    tables = {
        str(method): {
            kind: rows.pivot(index="seed", columns="task_id", values="score")
            for kind, of_kind in kinds.items()
            if len(rows := of_kind[of_kind["method"] == method])
        }
        for method in results["method"].unique()
    }
    ours = tables[reference]

    def difference(theirs: dict[str, pd.DataFrame], kind: str) -> Difference:
        common = ours[kind].columns.intersection(theirs[kind].columns)
        values = ours[kind][common].to_numpy() - theirs[kind][common].to_numpy()
        return {**interval(values, -metric.highest), "by_seed": values.mean(1).round(DIGITS).tolist()}

    return {
        "results": {
            method: {
                kind: {**interval(table.to_numpy(), 0.0), "tasks": table.shape[1]} for kind, table in by_kind.items()
            }
            for method, by_kind in tables.items()
        },
        "differences": {
            f"{reference}-{method}": {kind: difference(theirs, kind) for kind in ours if kind in theirs}
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
