"""Nodes that look for good sizes among those of a trained projector."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from plotly.graph_objects import Figure
from torch import Tensor, nn

from projpipe.config import SweepStudentsConfig
from projpipe.evaluation.student_sizes import SizeJudge, limited
from projpipe.evaluation.trained_methods import Methods
from projpipe.experiments.sweep import Try, listed, run_sweep, within_limits
from projpipe.images.streamed import Images
from projpipe.machine import processor
from projpipe.methods.projected import PROJECTED
from projpipe.methods.registry import main_methods
from projpipe.methods.task_model import TaskModel
from projpipe.metric import Metric
from projpipe.objectives import Objective
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.projection.projector import Projector
from projpipe.reporting.size_figure import size_figure
from projpipe.students.size_table import MeasuredSize, SizeTable
from projpipe.tasks.classes import class_of_image
from projpipe.training.provenance import package_versions
from projpipe.training.run_inputs import digest_of
from projpipe.transformer.spec import SIZE, TransformerSpec, written

logger = logging.getLogger(__name__)
EVERY = 20  # trials from one line of progress to the next


def judge_of_sizes(
    images: Images,
    index: pd.DataFrame,
    tasks: pd.DataFrame,
    objective: Objective,
    teacher_logits: TeacherLogits,
    config: SweepStudentsConfig,
) -> SizeJudge:
    """What judges students: on validation tasks, by some images of each class."""
    ids = teacher_logits.image_ids["validation"]
    labels = class_of_image(index)[ids]
    some = limited(labels, config.images_per_class)

    def read(rows: Tensor) -> Tensor:
        return objective.encode(images[ids[some[rows]].numpy()])

    validation = tasks[tasks["kind"] == "validation"]
    return SizeJudge(objective, read, labels[some], validation, config.batch, config.threads)


def best_seeds(methods: Methods, objective: Objective, *histories: pd.DataFrame) -> dict[str, TaskModel]:
    """Of each method the model of the seed that was best on the validation tasks."""
    metric = objective.metric
    best = {}
    for method, history in zip(main_methods(), histories, strict=True):
        rows = history[history["kept"]].to_dict("records")
        best[method] = methods[method][int(metric.best(rows, lambda row: row["validation_score"])["seed"])]
    return best


def sweep(
    judge: SizeJudge, projector: Projector, config: SweepStudentsConfig, run_store: Path
) -> tuple[pd.DataFrame, SizeTable]:
    """Let Optuna choose among the sizes of the trained projector; the best go into its size table."""
    model, metric = TaskModel(projector.operator, projector.of_sizes), judge.objective.metric
    left = partial(within_limits, num_classes=len(judge.classes), config=config)
    one = (projector.operator.spec,)
    sizes = left(one) if projector.sizes is None else projector.sizes.at_least(config.trials, left)
    if projector.sizes is None:
        logger.warning(
            "the projector makes students of one size, so that there is nothing to choose among; "
            "give `train_projector.smallest` a smaller size than `student`, and it makes all sizes between"
        )
    name = _study_name(judge, projector, sizes, config)
    tries = run_sweep(name, run_store / name, sizes, config, metric, partial(judge.measure, model), _log(metric))
    return tabulate(tries), table_of(tries, judge, model, projector, config)


def _study_name(
    judge: SizeJudge, projector: Projector, sizes: Sequence[TransformerSpec], config: SweepStudentsConfig
) -> str:
    """Names a study by all that decides what its trials find, and by what it chooses among."""
    tasks = [list(map(int, classes)) for classes in judge.tasks["class_ids"]]
    decided_by = config.model_dump(mode="json", exclude={"trials", "listed", "tolerance", "max_parameters", "max_macs"})
    among = [written(size) for size in sizes]
    content = f"{projector.weights_sha256} {tasks} {decided_by} {among}"
    return f"sweep-{digest_of(content.encode(), 'evaluation', 'students')}"


def _log(metric: Metric) -> Callable[[int, int, MeasuredSize], None]:
    def progress(done: int, count: int, last: MeasuredSize) -> None:
        if done % EVERY == 0 or done == count:
            logger.info(
                "size %d of %d: %d x %d, %s parameters, %.2f ms, %s",
                *(done, count, last.embed_dim, last.depth, f"{last.params:,}", last.latency_ms),
                metric.named(last.score),
            )

    return progress


def tabulate(tries: list[Try]) -> pd.DataFrame:
    """Every size that was tried, as `schemas.TRIALS` has it."""
    rows = []
    for number, one in enumerate(tries):
        measured = vars(one.measured)
        low, high = measured["interval"]
        scores = {"validation_score": measured["score"], "low": low, "high": high}
        cost = {name: measured[name] for name in (*SIZE, "params", "macs", "file_bytes", "latency_ms")}
        rows.append({"trial": number, **cost, **scores, "within_limits": one.within_limits, "pareto": one.pareto})
    return pd.DataFrame(rows)


def table_of(
    tries: list[Try], judge: SizeJudge, model: TaskModel, projector: Projector, config: SweepStudentsConfig
) -> SizeTable:
    """The sizes that travel with the projector, with what its models take for none of their classes."""
    sizes, recommended = listed(tries, config.listed, config.tolerance, judge.objective.metric)
    return SizeTable(
        weights_sha256=projector.weights_sha256,
        metric=judge.objective.metric.name,
        num_classes=len(judge.classes),
        batch=config.batch,
        threads=config.threads,
        machine=processor(),
        versions=package_versions(),
        recommended=recommended,
        sizes=tuple(judge.with_others(model, size) for size in sizes),
        task_classes=judge.task_classes,
    )


def compare_sizes(
    judge: SizeJudge, models: dict[str, TaskModel], table: SizeTable, projector: Projector, teacher: nn.Module
) -> pd.DataFrame:
    """The sizes of the table, made by every method, and the teacher, as `schemas.PARETO_FRONT` has it."""
    largest = projector.operator.spec
    rows = []
    for position, size in enumerate(table.sizes):
        for method, model in models.items():
            projected = method == PROJECTED.name
            measured = size if projected else judge.measure(model, size.of(largest))
            found = {name: getattr(measured, name) for name in (*SIZE, "params", "latency_ms")}
            recommended = projected and position == table.recommended
            rows.append({"method": method, **found, "validation_score": measured.score, "recommended": recommended})
    return pd.DataFrame([*rows, judge.teacher_row(teacher)])


def draw_sizes(front: pd.DataFrame, trials: pd.DataFrame, objective: Objective) -> Figure:
    """Draw validation scores against parameters and latency."""
    return size_figure(front, trials, objective.metric)
