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

REPORTED_KINDS = ("new_combination", "new_class", "train")
COMPARISONS = (("projected", "universal"), ("projected", "static"), ("projected", "teacher"))
TEACHER_SEED = -1
DIGITS = 6


def build_metrics(
    dataset: str,
    results: pd.DataFrame,
    costs: Mapping[str, Cost],
    student: StudentConfig,
    bootstrap_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Sizes, mean accuracies and paired differences with their 95 % intervals, as a JSON-ready dictionary.

    `results` has the columns of `schemas.RESULTS`; the teacher's rows carry the one seed TEACHER_SEED, as it is the
    same for all. `costs` holds 'teacher' and 'projected'. Differences are paired by seed and task, first minus second.
    """

    def interval(values: NDArray[np.float64]) -> dict[str, Any]:
        mean, low, high = mean_with_interval(values, bootstrap_samples, np.random.default_rng(seed))
        return {"mean": round(mean, DIGITS), "ci95": [round(low, DIGITS), round(high, DIGITS)]}

    values = {
        str(method): {
            kind: rows.pivot(index="seed", columns="task_id", values="accuracy").to_numpy()
            for kind in REPORTED_KINDS
            if len(rows := of_method[of_method["kind"] == kind])
        }
        for method, of_method in results.groupby("method", sort=False)
    }
    teacher, projected = costs["teacher"], costs["projected"]
    return {
        "dataset": dataset,
        "objective": "classification",
        "metric": "accuracy",
        "higher_is_better": True,
        "teacher": {"params": teacher["params"], "macs": teacher["macs"]},
        "student": {"params": projected["params"], "macs": projected["macs"], **student.model_dump()},
        "reduction": {
            "params": round(1 - projected["params"] / teacher["params"], DIGITS),
            "macs": round(1 - projected["macs"] / teacher["macs"], DIGITS),
        },
        "results": {
            method: {kind: {**interval(table), "tasks": table.shape[1]} for kind, table in by_kind.items()}
            for method, by_kind in values.items()
        },
        "differences": {
            f"{ours}-{theirs}": {kind: interval(table - values[theirs][kind]) for kind, table in values[ours].items()}
            for ours, theirs in COMPARISONS
        },
    }


def median_task(tasks: pd.DataFrame) -> list[int]:
    """Classes of the held-out task in the middle when they are ordered by their number of classes.

    Sizes and speeds are stated for the model of this task.
    """
    held_out = tasks[tasks["kind"].isin(("new_combination", "new_class"))]
    if held_out.empty:
        raise InputError(
            "tasks: no task of kind new_combination or new_class to judge on; raise counts in split_tasks.tasks"
        )
    by_size = sorted(([int(c) for c in classes] for classes in held_out["class_ids"]), key=len)
    return by_size[len(by_size) // 2]


def reported_tasks(tasks: pd.DataFrame, train_tasks: int) -> pd.DataFrame:
    """The held-out tasks that are reported on, and the first `train_tasks` train tasks to compare with."""
    held_out = tasks[tasks["kind"].isin(("new_combination", "new_class"))]
    return pd.concat([held_out, tasks[tasks["kind"] == "train"].head(train_tasks)], ignore_index=True)
