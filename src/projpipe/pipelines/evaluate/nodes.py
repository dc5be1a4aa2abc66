"""Nodes of the pipeline `evaluate`. Every method is judged through one interface: `specialise(classes) -> model`."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from kedro.utils import find_kedro_project
from torch import Tensor, nn

from projpipe.config import (
    EvaluateConfig,
    ExtractTeacherConfig,
    SplitTasksConfig,
    SweepStudentsConfig,
    TrainProjectorConfig,
)
from projpipe.evaluation.cost import Costs, deployed_cost
from projpipe.evaluation.judged_tasks import median_task, reported_tasks
from projpipe.evaluation.latency import Timings, measure_timings
from projpipe.evaluation.metrics import TEACHER_SEED, Metrics, build_metrics, headline
from projpipe.evaluation.scores import images_of_task, masked_scores, task_scores
from projpipe.evaluation.trained_methods import Methods
from projpipe.images.dataset_card import DatasetCard
from projpipe.images.streamed import Images
from projpipe.methods.controls import CONTROLS, control_embeddings
from projpipe.methods.task_model import TaskModel
from projpipe.metric import METRICS
from projpipe.objectives import Classification, Objective
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.projection.initialisation import evenly_spaced
from projpipe.projection.projector import Projector
from projpipe.reporting import figures
from projpipe.reporting.examples import Example, answered, drawn
from projpipe.reporting.report import render_report
from projpipe.students.size_table import SizeTable
from projpipe.tasks.classes import class_names, class_of_image
from projpipe.tasks.task import are_coherent, class_ids_of, sorts_of, train_weights_of
from projpipe.training import provenance
from projpipe.training.provenance import Run

ANSWERED, DRAWN = 6, 16  # images a task, with the answers of classifiers or beside those that decoders draw
SHOWN_BY = {"teacher": "teacher", "universal": "shared", "projected": "projected"}  # and what examples call them
Specialise = Callable[[Sequence[int]], nn.Module]


def evaluate_models(
    images: Images,
    index: pd.DataFrame,
    tasks: pd.DataFrame,
    objective: Objective,
    teacher_logits: TeacherLogits,
    methods: Methods,
    evaluate: EvaluateConfig,
) -> pd.DataFrame:
    """Scores of the teacher (held to the task's classes), of every method and seed, and of the projector's controls."""
    judged = reported_tasks(tasks, evaluate.train_tasks)
    test_ids = teacher_logits.image_ids["test"]
    labels = class_of_image(index)[test_ids]

    def read(rows: Tensor) -> Tensor:
        return objective.encode(images[test_ids[rows].numpy()])

    teacher = masked_scores(objective, teacher_logits.test_class_scores, labels, judged)
    tables = [teacher.assign(method="teacher", seed=TEACHER_SEED)]
    makers: dict[tuple[str, int], Specialise] = {
        (method, seed): model.specialise for method, seeds in methods.items() for seed, model in seeds.items()
    }
    for control in CONTROLS:
        for seed, model in methods["projected"].items():
            makers[control, seed] = _told_otherwise(control, model, judged, tasks, evaluate.seed)
    for (method, seed), table in task_scores(makers, objective, read, labels, judged).items():
        tables.append(table.assign(method=method, seed=seed))
    return pd.concat(tables, ignore_index=True)


def _told_otherwise(
    control: str, projected: TaskModel, judged: pd.DataFrame, tasks: pd.DataFrame, seed: int
) -> Specialise:
    """A function that makes the projector's models for the judged tasks with another embedding than their own."""
    judged_on, train_tasks = class_ids_of(judged), class_ids_of(tasks, "train")
    embeddings = control_embeddings(
        control, projected.embed, judged_on, sorts_of(judged), train_tasks, seed, train_weights_of(tasks)
    )
    told = dict(zip(map(tuple, judged_on), embeddings, strict=True))
    return lambda task: projected.specialise(task, told[tuple(task)])


def measure_costs(teacher: nn.Module, tasks: pd.DataFrame, objective: Objective, methods: Methods) -> Costs:
    """Deployed parameters and multiply-accumulates of the teacher and of every method's model of the median task."""
    classes = median_task(tasks)
    students = {method: next(iter(seeds.values())).specialise(classes) for method, seeds in methods.items()}
    models = {"teacher": teacher, **students}
    return Costs({name: deployed_cost(model, objective) for name, model in models.items()})


def measure_latency(
    teacher: nn.Module,
    tasks: pd.DataFrame,
    objective: Objective,
    methods: Methods,
    evaluate: EvaluateConfig,
) -> Timings:
    """Latency of the teacher and of every method's model, and the time to make one model."""
    return measure_timings(
        teacher,
        {method: next(iter(seeds.values())).specialise for method, seeds in methods.items()},
        tasks=[[int(c) for c in classes] for classes in reported_tasks(tasks, 0)["class_ids"]],
        classes=median_task(tasks),
        objective=objective,
        config=evaluate.latency,
    )


def compute_metrics(
    results: pd.DataFrame,
    costs: Costs,
    dataset_card: DatasetCard,
    objective: Objective,
    evaluate: EvaluateConfig,
    train_projector: TrainProjectorConfig,
) -> tuple[Metrics, dict[str, float]]:
    """The content of `metrics.json`, and the few figures of it that `dvc metrics show` shows."""
    metrics = build_metrics(
        dataset_card.name,
        objective,
        results,
        costs,
        train_projector.student,
        evaluate.bootstrap_samples,
        evaluate.seed,
    )
    return metrics, headline(metrics)


def draw_scores(metrics: Metrics) -> go.Figure:
    """Score by method and kind of task, with intervals."""
    return figures.scores_figure(metrics["results"], METRICS[metrics["metric"]])


def draw_learning_curves(metrics: Metrics, *histories: pd.DataFrame) -> go.Figure:
    """Validation score against step of all methods."""
    return figures.learning_curves_figure(pd.concat(histories, ignore_index=True), METRICS[metrics["metric"]])


def describe_run(
    projector: Projector,
    split_tasks: SplitTasksConfig,
    extract_teacher: ExtractTeacherConfig,
    train_projector: TrainProjectorConfig,
    sweep_students: SweepStudentsConfig,
    evaluate: EvaluateConfig,
) -> Run:
    """What made the run: parameters, checksums, code, versions and processor, none of which `metrics` names."""
    parameters = {
        "split_tasks": split_tasks,
        "extract_teacher": extract_teacher,
        "train_projector": train_projector,
        "sweep_students": sweep_students,
        "evaluate": evaluate,
    }
    stated = {name: config.model_dump(mode="json") for name, config in parameters.items()}
    return provenance.describe_run(find_kedro_project(Path.cwd()) or Path.cwd(), projector.provenance, stated)


def draw_tasks(metrics: Metrics, results: pd.DataFrame) -> go.Figure:
    """What the projected models gain over the universal one, task by task."""
    return figures.tasks_figure(results, METRICS[metrics["metric"]])


def draw_examples(
    teacher: nn.Module,
    images: Images,
    index: pd.DataFrame,
    tasks: pd.DataFrame,
    objective: Objective,
    teacher_logits: TeacherLogits,
    methods: Methods,
    evaluate: EvaluateConfig,
) -> list[Example]:
    """What the models of some held-out tasks say of images of these tasks, or draw beside them."""
    test_ids = teacher_logits.image_ids["test"]
    labels, names = class_of_image(index)[test_ids], class_names(index)
    makers: dict[str, Specialise] = {
        "teacher": lambda _: teacher,
        **{method: next(iter(methods[method].values())).specialise for method in ("universal", "projected")},
    }
    examples = []
    for name, classes in _example_tasks(tasks, evaluate.example_tasks):
        of_task, targets = images_of_task(labels, classes)
        most = ANSWERED if isinstance(objective, Classification) else DRAWN
        by_class = targets.argsort(stable=True)
        some = by_class[evenly_spaced(len(of_task), min(len(of_task), most))]
        pictures = np.asarray(images[test_ids[of_task[some]].numpy()])
        models = {SHOWN_BY[method]: specialise(classes) for method, specialise in makers.items()}
        if isinstance(objective, Classification):

            def names_of(positions: Tensor, classes: list[int] = classes) -> list[str]:
                return [names[classes[position]] for position in positions.tolist()]

            said = {title: names_of(objective.answers(model, pictures, classes)) for title, model in models.items()}
            examples.append(answered(name, pictures, names_of(targets[some]), said))
        else:
            cells = {"test images": objective.shown(pictures)}
            for title, model in models.items():
                cells[title] = objective.examples(model, len(pictures), classes, evaluate.seed)
            examples.append(drawn(name, cells))
    return examples


def _example_tasks(tasks: pd.DataFrame, count: int) -> list[tuple[str, list[int]]]:
    """Names and class ids of some held-out tasks, of those whose classes belong together where there are any."""
    held_out = reported_tasks(tasks, 0)
    coherent = held_out[are_coherent(held_out)]
    pool = coherent if len(coherent) else held_out
    rows = evenly_spaced(len(pool), min(len(pool), count)).tolist()
    return [(pool["name"].iloc[row], list(map(int, pool["class_ids"].iloc[row]))) for row in rows]


def tabulate_learning_curves(*histories: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Validation score by method, seed and step, as the records that `dvc plots` draws."""
    columns = ["method", "seed", "step", "validation_score"]
    return pd.concat(histories, ignore_index=True)[columns].to_dict(orient="records")


def write_report(
    metrics: Metrics,
    costs: Costs,
    timings: Timings,
    results: pd.DataFrame,
    size_table: SizeTable,
    sweep_trials: pd.DataFrame,
    scores_figure: go.Figure,
    learning_curves_figure: go.Figure,
    tasks_figure: go.Figure,
    pareto_figure: go.Figure,
    examples: list[Example],
    teacher_card: TeacherCard,
    dataset_card: DatasetCard,
    run: Run,
    evaluate: EvaluateConfig,
    train_projector: TrainProjectorConfig,
) -> str:
    """The self-contained HTML report."""
    return render_report(
        metrics,
        costs,
        timings,
        results,
        size_table,
        len(sweep_trials),
        figures={
            "scores": scores_figure,
            "learning_curves": learning_curves_figure,
            "tasks": tasks_figure,
            "pareto": pareto_figure,
        },
        examples=examples,
        teacher_card=teacher_card,
        dataset_card=dataset_card,
        run=run,
        parameters={"train_projector": train_projector, "evaluate": evaluate},
    )
