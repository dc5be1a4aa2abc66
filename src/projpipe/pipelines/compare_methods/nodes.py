"""Nodes of the pipeline `compare_methods`."""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from kedro.utils import find_kedro_project
from torch import nn

from projpipe.config import CompareMethodsConfig, EvaluateConfig
from projpipe.config import Comparison as ComparisonConfig
from projpipe.evaluation.comparison_summary import Comparison
from projpipe.evaluation.comparison_tables import comparison_history, comparison_results, comparison_summary
from projpipe.evaluation.cost import deployed_cost
from projpipe.evaluation.judged_tasks import median_task, sampled_pool, with_sampled_first
from projpipe.evaluation.latency import ComparisonTimings, compare_timings
from projpipe.evaluation.scores import masked_scores
from projpipe.experiments.comparison import run_comparison
from projpipe.experiments.outcome import Outcomes
from projpipe.experiments.plan import check_sampled, check_trials, plan, without_rates
from projpipe.experiments.rates import with_learning_rates
from projpipe.experiments.trial import Trial
from projpipe.images.dataset_card import DatasetCard
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.metric import METRICS
from projpipe.objectives import Objective
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.reporting import comparison_figures
from projpipe.reporting.comparison_page import comparison_markdown
from projpipe.tasks.classes import class_of_image
from projpipe.tasks.task import class_ids_of, sorts_of
from projpipe.training.provenance import made_here
from projpipe.training.run_inputs import RunInputs

Trials = list[Trial]


def plan_trials(compare_methods: CompareMethodsConfig, run_inputs: RunInputs, run_store: Path) -> Trials:
    """What there is to train, refused where it does not fit the teacher."""
    found, _ = with_learning_rates(run_inputs, without_rates(compare_methods.chosen), run_store)
    trials = plan(compare_methods.chosen, found.config)
    check_trials(trials, run_inputs.source.spec, run_inputs.objective)
    return trials


def train_and_judge(
    trials: Trials, run_inputs: RunInputs, tasks: pd.DataFrame, compare_methods: CompareMethodsConfig, run_store: Path
) -> Outcomes:
    """Train and judge every method of every table with every seed; what is finished already is read."""
    compared, count = _compared_tasks(tasks, compare_methods.chosen), compare_methods.chosen.sampled_tasks
    judged = list(zip(class_ids_of(compared), sorts_of(compared), strict=True))
    return Outcomes(run_comparison(trials, run_inputs, judged, [task for task, _ in judged[:count]], run_store))


def tabulate(
    trials: Trials,
    outcomes: Outcomes,
    tasks: pd.DataFrame,
    index: pd.DataFrame,
    objective: Objective,
    teacher_logits: TeacherLogits,
    compare_methods: CompareMethodsConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores by table, row, seed and task, those of the teacher among them; and the learning curves."""
    labels = class_of_image(index)[teacher_logits.image_ids["test"]]
    compared = _compared_tasks(tasks, compare_methods.chosen)
    teacher = masked_scores(objective, teacher_logits.test_class_scores, labels, compared)
    results = comparison_results(trials, outcomes.each, teacher, compare_methods.chosen.sampled_tasks)
    return results, comparison_history(trials, outcomes.each)


def make_students(
    trials: Trials, teacher: nn.Module, run_inputs: RunInputs, tasks: pd.DataFrame
) -> dict[str, nn.Module]:
    """The teacher, and a model for the median task in the shape of every table's students, to be weighed and timed."""
    classes = median_task(tasks)
    models = {"teacher": teacher}
    for trial in trials:
        if trial.table not in models:
            shape = {"student": trial.size or trial.config.student, "smallest": None}
            config = trial.config.model_copy(update=shape)
            given = Ingredients(run_inputs.source, config, trial.seed, place=trial.place)
            models[trial.table] = build("static", given).eval().specialise(classes)
    return models


def summarise(
    trials: Trials,
    outcomes: Outcomes,
    results: pd.DataFrame,
    models: dict[str, nn.Module],
    dataset_card: DatasetCard,
    objective: Objective,
    evaluate: EvaluateConfig,
    compare_methods: CompareMethodsConfig,
) -> Comparison:
    """Every table with its student, accuracies, paired differences, training costs and break-even."""
    costs = {name: deployed_cost(model, objective) for name, model in models.items()}
    return {
        "dataset": dataset_card.name,
        "objective": objective.name,
        "metric": objective.metric.name,
        "teacher": costs["teacher"].to_json(),
        "sampled_tasks": compare_methods.chosen.sampled_tasks,
        "sampled_from": compare_methods.chosen.sampled_from,
        "tables": comparison_summary(
            trials, outcomes.each, results, costs, objective.metric, evaluate.bootstrap_samples, evaluate.seed
        ),
        "provenance": made_here(find_kedro_project(Path.cwd()) or Path.cwd(), dataset_card.sha256),
    }


def measure_latency(models: dict[str, nn.Module], objective: Objective, evaluate: EvaluateConfig) -> ComparisonTimings:
    """Latency of the teacher and of every table's students."""
    students = {table: model for table, model in models.items() if table != "teacher"}
    return compare_timings(models["teacher"], students, objective, evaluate.latency)


def draw_differences(summary: Comparison) -> go.Figure:
    """By how much the first method of each table is above the others."""
    return comparison_figures.differences_figure(summary)


def draw_budgets(summary: Comparison, history: pd.DataFrame) -> go.Figure:
    """Learning curves of every table."""
    tables = list(history["table"].unique())
    return comparison_figures.budget_curves_figure(history, tables, METRICS[summary["metric"]])


def write_markdown(summary: Comparison, timings: ComparisonTimings) -> str:
    """The comparison as a page of Markdown."""
    return comparison_markdown(summary, timings)


def _compared_tasks(tasks: pd.DataFrame, comparison: ComparisonConfig) -> pd.DataFrame:
    """The held-out tasks, in the order in which they are judged: the sampled ones first."""
    pool = sampled_pool(tasks, comparison.sampled_from)
    check_sampled(comparison, len(pool))
    return with_sampled_first(tasks, pool.head(comparison.sampled_tasks))
