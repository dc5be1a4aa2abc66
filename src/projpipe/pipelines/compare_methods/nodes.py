"""Nodes of the pipeline `compare_methods`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from kedro.utils import find_kedro_project
from torch import Tensor, nn

from projpipe.config import CompareMethodsConfig, EvaluateConfig, TrainProjectorConfig
from projpipe.evaluation.comparison_tables import comparison_history, comparison_results, comparison_summary
from projpipe.evaluation.cost import Cost, deployed_cost
from projpipe.evaluation.latency import Latency, forward_latencies, machine, sampling_latencies
from projpipe.evaluation.metrics import held_out_tasks, median_task
from projpipe.evaluation.scores import masked_scores
from projpipe.experiments.comparison import run_comparison
from projpipe.experiments.plan import check_parts, check_sampled, plan
from projpipe.experiments.trial import Part
from projpipe.methods.task_model import build
from projpipe.metric import METRICS
from projpipe.objectives import objective_from_json
from projpipe.reporting import comparison_figures
from projpipe.reporting.comparison_page import comparison_markdown
from projpipe.tasks.classes import class_of_image
from projpipe.tasks.task import class_ids_of, sorts_of
from projpipe.training.provenance import command, package_versions, source_commit
from projpipe.training.run_inputs import RunInputs

Parts = list[Part]
Outcomes = list[dict[str, Any]]


def plan_parts(
    compare_methods: CompareMethodsConfig, train_projector: TrainProjectorConfig, run_inputs: RunInputs
) -> Parts:
    """What there is to train, refused where it does not fit the teacher."""
    parts = plan(compare_methods.chosen, train_projector)
    check_parts(parts, run_inputs.source.spec, run_inputs.objective)
    return parts


def train_and_judge(
    parts: Parts, run_inputs: RunInputs, tasks: pd.DataFrame, compare_methods: CompareMethodsConfig, run_store: Path
) -> Outcomes:
    """Train and judge every method of every table with every seed; what is finished already is read."""
    held_out, count = held_out_tasks(tasks), compare_methods.chosen.sampled_tasks
    check_sampled(count, len(held_out))
    judged = list(zip(class_ids_of(held_out), sorts_of(held_out), strict=True))
    return run_comparison(parts, run_inputs, judged, [task for task, _ in judged[:count]], run_store)


def tabulate(
    parts: Parts,
    outcomes: Outcomes,
    tasks: pd.DataFrame,
    index: pd.DataFrame,
    objective: dict[str, Any],
    teacher_logits: dict[str, Tensor],
    compare_methods: CompareMethodsConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores by table, row, seed and task, those of the teacher among them; and the learning curves."""
    labels = class_of_image(index)[teacher_logits["test_image_ids"]]
    class_scores = teacher_logits["test_class_scores"]
    teacher = masked_scores(objective_from_json(objective), class_scores, labels, held_out_tasks(tasks))
    results = comparison_results(parts, outcomes, teacher, compare_methods.chosen.sampled_tasks)
    return results, comparison_history(parts, outcomes)


def make_students(parts: Parts, teacher: nn.Module, run_inputs: RunInputs, tasks: pd.DataFrame) -> dict[str, nn.Module]:
    """The teacher, and a model for the median task in the shape of every table's students, to be weighed and timed."""
    classes = median_task(tasks)
    models = {"teacher": teacher}
    for part in parts:
        if part.table not in models:
            models[part.table] = build("static", run_inputs.source, part.config, part.seed).eval().specialise(classes)
    return models


def summarise(
    parts: Parts,
    outcomes: Outcomes,
    results: pd.DataFrame,
    models: Mapping[str, nn.Module],
    dataset_card: dict[str, Any],
    objective: dict[str, Any],
    evaluate: EvaluateConfig,
    compare_methods: CompareMethodsConfig,
) -> dict[str, Any]:
    """Every table with its student, accuracies, paired differences, training costs and break-even."""
    learned = objective_from_json(objective)
    costs: dict[str, Cost] = {name: deployed_cost(model, learned) for name, model in models.items()}
    by_table = {name: {"teacher": costs["teacher"], "student": cost} for name, cost in costs.items()}
    return {
        "dataset": dataset_card["name"],
        "objective": learned.name,
        "metric": learned.metric.name,
        "teacher": costs["teacher"],
        "sampled_tasks": compare_methods.chosen.sampled_tasks,
        "tables": comparison_summary(
            parts, outcomes, results, by_table, learned.metric, evaluate.bootstrap_samples, evaluate.seed
        ),
        "provenance": {
            "command": command(),
            "commit": source_commit(find_kedro_project(Path.cwd()) or Path.cwd()),
            "dataset_sha256": dataset_card["sha256"],
            "versions": package_versions(),
        },
    }


def measure_latency(
    models: Mapping[str, nn.Module], objective: dict[str, Any], evaluate: EvaluateConfig
) -> dict[str, Any]:
    """Latency of the teacher and of every table's students."""
    learned, settings = objective_from_json(objective), evaluate.latency
    measured = {str(size): forward_latencies(models, learned, size, settings) for size in settings.batch_sizes}
    sampling = sampling_latencies(models, learned, settings)
    return {
        "machine": machine(),
        "threads": settings.threads,
        "latency": {
            table: {size: _against_teacher(table, of_size) for size, of_size in measured.items()}
            for table in models
            if table != "teacher"
        },
        "sampling": {table: _against_teacher(table, sampling) for table in sampling if table != "teacher"},
    }


def _against_teacher(table: str, measured: Mapping[str, Latency]) -> dict[str, float]:
    return {
        "teacher_ms": measured["teacher"]["median_ms"],
        "student_ms": measured[table]["median_ms"],
        "speedup": measured[table]["speedup"],
    }


def draw_differences(summary: dict[str, Any]) -> go.Figure:
    """By how much the first method of each table is above the others."""
    return comparison_figures.differences_figure(summary)


def draw_budgets(summary: dict[str, Any], history: pd.DataFrame) -> go.Figure:
    """Learning curves of every table."""
    tables = list(history["table"].unique())
    return comparison_figures.budget_curves_figure(history, tables, METRICS[summary["metric"]])


def write_markdown(summary: dict[str, Any], timings: dict[str, Any]) -> str:
    """The comparison as a page of Markdown."""
    return comparison_markdown(summary, timings)
