"""A comparison's outcomes as one table of results, one of learning curves, and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import pandas as pd

from projpipe.evaluation.break_even import BreakEven, break_even
from projpipe.evaluation.comparison_summary import ComparedTable, SourceScore, TrainedRow
from projpipe.evaluation.cost import Cost
from projpipe.evaluation.metrics import TEACHER_SEED, reduction, student_size
from projpipe.evaluation.summary import Headroom, Summariser
from projpipe.experiments.comparison import best_shared_row
from projpipe.experiments.outcome import Outcome, task_mean
from projpipe.experiments.trial import Trial, row_of_size
from projpipe.methods.registry import METHODS
from projpipe.metric import Metric
from projpipe.training.history import last_kept

Pairs = Sequence[tuple[Trial, Outcome]]
OF_A_TASK = ["task_id", "task_name", "kind", "strategy", "class_ids", "num_classes", "images"]


def comparison_results(
    trials: Sequence[Trial], outcomes: Sequence[Outcome], teacher: pd.DataFrame, sampled: int
) -> pd.DataFrame:
    """Accuracy by table, row, seed and task.

    Args:
        teacher: scores of the teacher on the judged tasks, in the order in which they were judged, with the columns
            of `task_scores`.
        sampled: how many of the first tasks have models of their own.
    """
    tables = dict.fromkeys(trial.table for trial in trials)
    rows = [teacher.assign(table=table, method="teacher", seed=TEACHER_SEED) for table in tables]
    tasks = teacher[OF_A_TASK]
    for trial, outcome in zip(trials, outcomes, strict=True):
        judged = tasks.head(sampled) if METHODS[trial.method].per_task else tasks
        own = "method" if trial.size is None else row_of_size(trial.size)
        others = {"method", *map(row_of_size, trial.sizes)} - {own}
        for row, scores in outcome.scores.items():
            if row in others:
                continue
            name = trial.row if row == own else row
            means = [task_mean(of_task) for of_task in scores]
            of_images: list[Any] = list(scores)
            found = judged.assign(table=trial.table, method=name, seed=trial.seed, score=means)
            rows.append(found.assign(image_scores=of_images))
    return pd.concat(rows, ignore_index=True)[["table", "method", "seed", *OF_A_TASK, "score", "image_scores"]]


def comparison_history(trials: Sequence[Trial], outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Learning curves on the validation tasks, of the methods that have one model for all tasks."""
    frames = [
        pd.DataFrame(outcome.history)[["seed", "step", "validation_score"]].assign(
            table=trial.table, name=trial.row, method=trial.method
        )
        for trial, outcome in zip(trials, outcomes, strict=True)
        if not METHODS[trial.method].per_task
    ]
    columns = ["table", "name", "method", "seed", "step", "validation_score"]
    return pd.concat(frames, ignore_index=True)[columns]


def comparison_summary(
    trials: Sequence[Trial],
    outcomes: Sequence[Outcome],
    results: pd.DataFrame,
    costs: Mapping[str, Cost],
    metric: Metric,
    bootstrap_samples: int,
    seed: int,
) -> dict[str, ComparedTable]:
    """Every table with its student, accuracies, differences, what training cost, and the break-even.

    Args:
        costs: of the teacher, and of the students of every table.
    """
    tables: dict[str, ComparedTable] = {}
    for table, of_table in results.groupby("table", sort=False):
        own = [(trial, outcome) for trial, outcome in zip(trials, outcomes, strict=True) if trial.table == table]
        first = own[0][0]
        summariser = Summariser(of_table, metric, bootstrap_samples, seed)
        tables[str(table)] = {
            "student": student_size(first.size or first.config.student, costs[str(table)]),
            "reduction": reduction(costs[str(table)], costs["teacher"]),
            "steps": first.config.optimisation.steps,
            "seeds": sorted({trial.seed for trial, _ in own}),
            "reference": first.row,
            "methods": {
                name: _method([pair for pair in own if pair[0].row == name])
                for name in dict.fromkeys(trial.row for trial, _ in own)
            },
            **summariser.summary(first.row),
            "headroom": _headroom(summariser, str(table), own, metric),
            "break_even": _break_even(first, own),
        }
    return tables


def _headroom(summariser: Summariser, table: str, own: Pairs, metric: Metric) -> Headroom | None:
    """What the first row has of it, where a row is of specialists; of several, that which does best in validation."""
    scores: dict[str, list[float]] = {}
    for trial, outcome in own:
        if METHODS[trial.method].starts_from_shared:
            scores.setdefault(trial.row, []).append(outcome.sampled_validation_score)
    if not scores:
        return None
    specialist = metric.best(scores, lambda row: mean(scores[row]))
    trials, outcomes = [trial for trial, _ in own], [outcome for _, outcome in own]
    return summariser.headroom(own[0][0].row, best_shared_row(table, trials, outcomes, metric), specialist)


def _method(own: Pairs) -> TrainedRow:
    """One row, of a trial a seed: scores are means over the seeds, costs are those of one of them."""
    trial, outcome = own[0]
    histories = [outcome.history for _, outcome in own]
    best = [last_kept(history) for history in histories]
    return {
        "method": trial.method,
        "learning_rate": trial.learning_rate,
        "parameters": trial.config.model_dump(mode="json", exclude={"seeds", "learning_rates", "ray"}),
        "steps": histories[0][-1].step,
        "validation_score": mean(row.validation_score for row in best),
        "training_flops": histories[0][-1].step * outcome.flops_per_step,
        "flops_to_make": outcome.flops_to_make,
        "source_score": _source_score(own),
    }


def _source_score(own: Pairs) -> SourceScore | None:
    """That of a source that is tuned, at its start and as it is kept; None where it is frozen."""
    before = [outcome.history[0].source_score for _, outcome in own]
    after = [last_kept(outcome.history).source_score for _, outcome in own]
    known = [score for score in (*before, *after) if score is not None]
    if len(known) < 2 * len(own):
        return None
    return {"before": mean(known[: len(own)]), "after": mean(known[len(own) :])}


def _break_even(first: Trial, own: Pairs) -> BreakEven | None:
    """Of a projector that stands first, against the distilled row that does best; None where there are not both."""
    if first.method != "projected":
        return None
    by_row: dict[str, list[Outcome]] = {}
    for trial, outcome in own:
        by_row.setdefault(trial.row, []).append(outcome)
    distilled = dict.fromkeys(trial.row for trial, _ in own if trial.method == "distilled")
    found = [break_even(by_row[first.row], by_row[name]) for name in distilled]
    # The least that reaches the projector's score; where none does, the most that was tried.
    return min(
        found,
        key=lambda one: (not one["reached"], one["flops_per_task"] * (1 if one["reached"] else -1)),
        default=None,
    )
