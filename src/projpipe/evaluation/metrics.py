"""The content of `metrics.json`: the same form for every data set and objective, and no wall-clock figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from projpipe.config import StudentConfig
from projpipe.errors import InputError
from projpipe.evaluation.bootstrap import mean_with_interval
from projpipe.evaluation.cost import Cost
from projpipe.metric import Metric
from projpipe.objectives import Objective
from projpipe.tasks.task import are_coherent, class_ids_of, median_by_size

REPORTED_KINDS = ("new_combination", "coherent", "random", "new_class", "train")
JUDGED_KINDS = ("new_combination", "new_class")
REFERENCE = "projected"
TEACHER_SEED = -1
DIGITS = 6


def build_metrics(
    dataset: str,
    objective: Objective,
    results: pd.DataFrame,
    costs: Mapping[str, Cost],
    student: StudentConfig,
    bootstrap_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Sizes, mean scores and paired differences with their 95 % intervals, as a JSON-ready dictionary.

    `results` has the columns of `schemas.RESULTS`; the teacher's rows carry the one seed TEACHER_SEED, as it is the
    same for all. `costs` holds 'teacher' and 'projected'.
    """
    teacher, projected = costs["teacher"], costs["projected"]
    return {
        "dataset": dataset,
        "objective": objective.name,
        "metric": objective.metric.name,
        "higher_is_better": objective.metric.higher_is_better,
        "teacher": teacher.to_json(),
        "student": {**projected.to_json(), **student.model_dump()},
        "reduction": reduction(projected, teacher),
        **summarise(results, REFERENCE, objective.metric, bootstrap_samples, seed),
    }


def reduction(student: Cost, teacher: Cost) -> dict[str, float]:
    """By what share of the teacher's a student has fewer parameters and multiply-accumulates."""
    return {
        "params": round(1 - student.params / teacher.params, DIGITS),
        "macs": round(1 - student.macs / teacher.macs, DIGITS),
    }


def summarise(
    results: pd.DataFrame, reference: str, metric: Metric, bootstrap_samples: int, seed: int
) -> dict[str, Any]:
    """Mean score by method and kind of task, and the difference of the reference to each other method.

    Differences are paired by seed and task, on the tasks that both methods have; a method with a single seed, such as
    the teacher, is paired with every seed. New combinations that belong together (coherent) and random ones are given
    separately too, where there are both.

    Returns:
        `results`: {method: {kind: {"mean", "ci95": [low, high], "tasks"}}}, `differences`: {"reference-method": {kind:
        {"mean", "ci95", "by_seed"}}}, of scores as they are, whichever direction is better; `by_seed` are the means
        over the tasks, in the order of the seeds.
    """

    def interval(values: NDArray[np.float64], lowest: float) -> dict[str, Any]:
        mean, *ends = mean_with_interval(values, bootstrap_samples, np.random.default_rng(seed))
        possible = (min(max(end, lowest), metric.highest) for end in ends)
        return {"mean": round(mean, DIGITS), "ci95": [round(end, DIGITS) for end in possible]}

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

    def difference(theirs: dict[str, pd.DataFrame], kind: str) -> dict[str, Any]:
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


def median_task(tasks: pd.DataFrame) -> list[int]:
    """Classes of the held-out task in the middle when they are ordered by their number of classes.

    Sizes and speeds are stated for the model of this task.
    """
    held_out = held_out_tasks(tasks)
    if held_out.empty:
        raise InputError(
            "tasks: no task of kind new_combination or new_class to judge on; raise counts in split_tasks.tasks"
        )
    return median_by_size(class_ids_of(held_out))


def held_out_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    """The tasks that are judged on, kind by kind."""
    return pd.concat([tasks[tasks["kind"] == kind] for kind in JUDGED_KINDS])


def reported_tasks(tasks: pd.DataFrame, train_tasks: int) -> pd.DataFrame:
    """The held-out tasks that are reported on, and the first `train_tasks` train tasks to compare with."""
    return pd.concat([held_out_tasks(tasks), tasks[tasks["kind"] == "train"].head(train_tasks)], ignore_index=True)
