"""The content of `metrics.json`: the same form for every data set and objective, and no wall-clock figures."""

from collections.abc import Mapping
from typing import TypedDict

import pandas as pd

from projpipe.config import StudentConfig
from projpipe.evaluation.cost import Cost, Size
from projpipe.evaluation.summary import DIGITS, Summariser, Summary
from projpipe.methods.controls import CONTROLS
from projpipe.objectives import Objective

REFERENCE = "projected"
TEACHER_SEED = -1


class StudentSize(Size):
    """What a student costs, and the parameters that make it so."""

    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float


class Reduction(TypedDict):
    """By what share of the teacher's a student has fewer parameters and multiply-accumulates."""

    params: float
    macs: float


class Metrics(Summary):
    """The content of `metrics.json`; `metric` names one of `projpipe.metric.METRICS`."""

    dataset: str
    objective: str
    metric: str
    higher_is_better: bool
    teacher: Size
    student: StudentSize
    reduction: Reduction


def build_metrics(
    dataset: str,
    objective: Objective,
    results: pd.DataFrame,
    costs: Mapping[str, Cost],
    student: StudentConfig,
    bootstrap_samples: int,
    seed: int,
) -> Metrics:
    """Sizes, mean scores and paired differences with their 95 % intervals.

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
        "student": student_size(student, projected),
        "reduction": reduction(projected, teacher),
        **Summariser(results, objective.metric, bootstrap_samples, seed).summary(REFERENCE),
    }


def headline(metrics: Metrics) -> dict[str, float]:
    """What `dvc metrics show` has room for: scores on the first sort of held-out tasks, and the size of students."""
    first = next(iter(metrics["results"][REFERENCE]))
    scores = {
        method: by_kind[first]["mean"] for method, by_kind in metrics["results"].items() if method not in CONTROLS
    }
    return {**scores, "fewer_params": metrics["reduction"]["params"]}


def student_size(student: StudentConfig, cost: Cost) -> StudentSize:
    """What a student costs beside the parameters that make it so."""
    return {
        "params": cost.params,
        "macs": cost.macs,
        "embed_dim": student.embed_dim,
        "depth": student.depth,
        "num_heads": student.num_heads,
        "mlp_ratio": student.mlp_ratio,
    }


def reduction(student: Cost, teacher: Cost) -> Reduction:
    """By what share of the teacher's a student has fewer parameters and multiply-accumulates."""
    return {
        "params": round(1 - student.params / teacher.params, DIGITS),
        "macs": round(1 - student.macs / teacher.macs, DIGITS),
    }
