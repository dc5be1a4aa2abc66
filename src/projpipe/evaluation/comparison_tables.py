"""A comparison's outcomes as one table of results, one of learning curves, and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import pandas as pd

from projpipe.evaluation.break_even import break_even
from projpipe.evaluation.cost import Cost
from projpipe.evaluation.metrics import TEACHER_SEED, reduction, summarise
from projpipe.experiments.trial import PER_TASK, Part
from projpipe.metric import Metric

Outcomes = Sequence[Mapping[str, Any]]
OF_A_TASK = ["task_id", "task_name", "kind", "strategy", "num_classes", "images"]


def comparison_results(parts: Sequence[Part], outcomes: Outcomes, teacher: pd.DataFrame, sampled: int) -> pd.DataFrame:
    """Accuracy by table, row, seed and task.

    Args:
        teacher: scores of the teacher on the judged tasks, in the order in which they were judged, with the columns
            of `task_scores`.
        sampled: how many of the first tasks have models of their own.
    """
    tables = dict.fromkeys(part.table for part in parts)
    rows = [teacher.assign(table=table, method="teacher", seed=TEACHER_SEED) for table in tables]
    tasks = teacher[OF_A_TASK]
    for part, outcome in zip(parts, outcomes, strict=True):
        judged = tasks.head(sampled) if part.method in PER_TASK else tasks
        for row, scores in outcome["scores"].items():
            name = part.name if row == "method" else row
            rows.append(judged.assign(table=part.table, method=name, seed=part.seed, score=scores))
    return pd.concat(rows, ignore_index=True)[["table", "method", "seed", *OF_A_TASK, "score"]]


def comparison_history(parts: Sequence[Part], outcomes: Outcomes) -> pd.DataFrame:
    """Learning curves on the validation tasks, of the methods that have one model for all tasks."""
    frames = [
        pd.DataFrame(outcome["history"])[["seed", "step", "validation_score"]].assign(
            table=part.table, name=part.name, method=part.method
        )
        for part, outcome in zip(parts, outcomes, strict=True)
        if part.method not in PER_TASK
    ]
    columns = ["table", "name", "method", "seed", "step", "validation_score"]
    return pd.concat(frames, ignore_index=True)[columns]


def comparison_summary(
    parts: Sequence[Part],
    outcomes: Outcomes,
    results: pd.DataFrame,
    costs: Mapping[str, Mapping[str, Cost]],
    metric: Metric,
    bootstrap_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Every table with its student, accuracies, differences, what training cost, and the break-even.

    Args:
        costs: {table: {"teacher", "student"}}.
    """
    tables: dict[str, Any] = {}
    for table, of_table in results.groupby("table", sort=False):
        own = [(part, outcome) for part, outcome in zip(parts, outcomes, strict=True) if part.table == table]
        first = own[0][0]
        student, teacher = costs[str(table)]["student"], costs[str(table)]["teacher"]
        tables[str(table)] = {
            "student": {**first.config.student.model_dump(), **student.to_json()},
            "reduction": reduction(student, teacher),
            "steps": first.config.optimisation.steps,
            "seeds": sorted({part.seed for part, _ in own}),
            "reference": first.name,
            "methods": {
                name: _method([pair for pair in own if pair[0].name == name])
                for name in dict.fromkeys(part.name for part, _ in own)
            },
            **summarise(of_table, first.name, metric, bootstrap_samples, seed),
            "break_even": _break_even(first, own),
        }
    return tables


def _method(own: Sequence[tuple[Part, Mapping[str, Any]]]) -> dict[str, Any]:
    """One row, of a part a seed: scores are means over the seeds, costs are those of one of them."""
    part, outcome = own[0]
    histories = [outcome["history"] for _, outcome in own]
    best = [[row for row in history if row["kept"]][-1] for history in histories]
    before = [history[0]["source_score"] for history in histories]
    after = [row["source_score"] for row in best]
    return {
        "method": part.method,
        "learning_rate": part.learning_rate,
        "parameters": part.config.model_dump(mode="json", exclude={"seeds", "learning_rates", "ray"}),
        "steps": histories[0][-1]["step"],
        "validation_score": mean(row["validation_score"] for row in best),
        "training_flops": histories[0][-1]["step"] * outcome["flops_per_step"],
        "flops_to_make": outcome["flops_to_make"],
        "source_score": None if before[0] is None else {"before": mean(before), "after": mean(after)},
    }


def _break_even(first: Part, own: Sequence[tuple[Part, Mapping[str, Any]]]) -> dict[str, Any] | None:
    """Of a projector that stands first, against the distilled row that does best; None where there are not both."""
    if first.method != "projected":
        return None
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for part, outcome in own:
        by_row.setdefault(part.name, []).append(outcome)
    distilled = dict.fromkeys(part.name for part, _ in own if part.method == "distilled")
    found = [break_even(by_row[first.name], by_row[name]) for name in distilled]
    # The least that reaches the projector's score; where none does, the most that was tried.
    return min(
        found,
        key=lambda one: (not one["reached"], one["flops_per_task"] * (1 if one["reached"] else -1)),
        default=None,
    )
