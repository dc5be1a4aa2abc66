"""Two small evaluations to report on, one in accuracy and one in bits per pixel, with scores drawn at random."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest

from makers import RUN, front_of, size_table, tried_sizes
from projpipe.config import EvaluateConfig, TrainProjectorConfig
from projpipe.evaluation.cost import Cost, Costs
from projpipe.evaluation.metrics import TEACHER_SEED
from projpipe.evaluation.summary import SORTS
from projpipe.images.dataset_card import DatasetCard
from projpipe.metric import ACCURACY, BITS_PER_PIXEL, Metric
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.pipelines.sweep_students.nodes import tabulate
from projpipe.reporting import figures
from projpipe.reporting.examples import Example, answered, drawn
from projpipe.reporting.report import render_report
from projpipe.reporting.size_figure import size_figure
from projpipe.students.size_table import SizeTable

KINDS = ["new_combination"] * 12 + ["new_class"] * 4 + ["train"] * 4
STUDENTS = ("projected", "static", "universal")
SIZES = [(12, 1, 2, 12, 3_400), (16, 2, 2, 32, 9_800), (24, 1, 4, 48, 8_100), (24, 3, 4, 96, 34_000)]


@dataclass(frozen=True)
class Evaluation:
    """What a report on one objective is made of; `measured` holds metrics, costs and timings."""

    metric: Metric
    results: pd.DataFrame
    history: pd.DataFrame
    trials: pd.DataFrame
    front: pd.DataFrame
    size_table: SizeTable
    measured: dict[str, Any]


def evaluated(
    metric: Metric,
    objective: str,
    means: Mapping[str, float],
    start: float,
    tried: list[float],
    num_classes: int,
    sampling_ms: Mapping[str, float],
) -> Evaluation:
    """Scores around `means`; learning curves from `start` to them; sweep trials with the scores `tried`."""
    rng = np.random.default_rng(0)
    results = pd.DataFrame(
        [
            {
                "method": method,
                "seed": seed,
                "task_id": task_id,
                "task_name": f"task {task_id} <script>alert(1)</script>",
                "kind": kind,
                "strategy": "random",
                "num_classes": num_classes,
                "images": 60,
                "score": mean + float(np.clip(rng.normal(0, 0.02), -0.04, 0.04)),
            }
            for method, mean in means.items()
            for seed in ([TEACHER_SEED] if method == "teacher" else [0, 1])
            for task_id, kind in enumerate(KINDS)
        ]
    )
    history = pd.DataFrame(
        [
            {
                "method": method,
                "seed": seed,
                "step": step,
                "loss": 1 / (1 + step),
                "validation_score": means[method] + (start - means[method]) * (1 - step / 400) ** 2 - 0.01 * seed,
            }
            for method in STUDENTS
            for seed in (0, 1)
            for step in (0, 100, 200, 300, 400)
        ]
    )
    tries = tried_sizes(SIZES, tried)
    trials, table = tabulate(tries), size_table(tries, metric)
    teacher, student = Cost(params=898_000, macs=15_500_000), Cost(params=11_600, macs=180_000)
    measured = {
        "metrics": {
            "dataset": "digits & <b>more</b>",
            "objective": objective,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "teacher": teacher.to_json(),
            "student": {**student.to_json(), "embed_dim": 24, "depth": 1, "num_heads": 2, "mlp_ratio": 4.0},
            "reduction": {"params": 0.987, "macs": 0.988},
            **summarised(results),
        },
        "costs": Costs({"teacher": teacher} | dict.fromkeys(STUDENTS, student)),
        "timings": {
            "machine": "Linux x86_64",
            "threads": 1,
            "repeats": 5,
            "num_classes": num_classes,
            "latency": {
                method: {"1": latency(2.1, i), "32": latency(15.96, i)}
                for i, method in enumerate(("teacher", *STUDENTS))
            },
            "make_one_model": {name: {"median_ms": 2.34, "undisturbed_ms": 2.33} for name in STUDENTS},
            "sampling": {
                method: latency(ms, 0) | dict.fromkeys(("speedup", "undisturbed_speedup"), sampling_ms["teacher"] / ms)
                for method, ms in sampling_ms.items()
            },
        },
    }
    return Evaluation(metric, results, history, trials, front_of(trials), table, measured)


def summarised(results: pd.DataFrame) -> dict[str, Any]:
    """`results` and `differences` of the metrics, with intervals of two standard errors."""
    scores = results.groupby(["method", "kind", "task_id"])["score"].mean()
    by_seed = [0.0] * (results["seed"].nunique() - 1)  # of which the reports tell only how many there are

    def cell(values: pd.Series) -> dict[str, Any]:
        mean, error = float(values.mean()), float(values.std() / len(values) ** 0.5)
        return {"mean": mean, "ci95": [mean - 2 * error, mean + 2 * error]}

    def difference(other: str, kind: str) -> dict[str, Any]:
        return {**cell(scores["projected"][kind] - scores[other][kind]), "by_seed": by_seed}

    kinds = dict.fromkeys(KINDS)
    return {
        "results": {
            method: {kind: {**cell(scores[method][kind]), "tasks": len(scores[method][kind])} for kind in kinds}
            for method in results["method"].unique()
        },
        "differences": {
            f"projected-{other}": {kind: difference(other, kind) for kind in kinds}
            for other in ("teacher", "static", "universal")
        },
    }


def latency(teacher_ms: float, position: int) -> dict[str, float]:
    """Of the teacher at position 0, and of students behind it, each a little slower than the one before."""
    speedup = 1.0 if position == 0 else 5.4 - 0.1 * position
    elapsed = dict.fromkeys(("median_ms", "undisturbed_ms"), teacher_ms / speedup)
    return {**elapsed, "iqr_ms": 0.01, "speedup": speedup, "undisturbed_speedup": speedup}


@pytest.fixture(scope="session")
def accuracy() -> Evaluation:
    return evaluated(
        ACCURACY,
        "classification",
        means={"teacher": 0.95, "projected": 0.94, "static": 0.92, "universal": 0.85},
        start=0.4,
        tried=[0.84, 0.90, 0.89, 0.89],
        num_classes=3,
        sampling_ms={},
    )


@pytest.fixture(scope="session")
def bits() -> Evaluation:
    return evaluated(
        BITS_PER_PIXEL,
        "image_modeling",
        means={"teacher": 1.818, "projected": 1.866, "static": 1.897, "universal": 1.949},
        start=4.1,
        tried=[2.11, 1.93, 1.98, 1.97],
        num_classes=1,
        sampling_ms={"teacher": 123.4, "projected": 32.1, "static": 32.2, "universal": 32.3},
    )


@pytest.fixture(scope="session", params=["accuracy", "bits"])
def either(request: pytest.FixtureRequest) -> Evaluation:
    """Each of the two in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def results(accuracy: Evaluation) -> pd.DataFrame:
    return accuracy.results


@pytest.fixture(scope="session")
def history(accuracy: Evaluation) -> pd.DataFrame:
    return accuracy.history


@pytest.fixture(scope="session")
def trials(accuracy: Evaluation) -> pd.DataFrame:
    return accuracy.trials


@pytest.fixture(scope="session")
def evaluation(accuracy: Evaluation) -> dict[str, Any]:
    """metrics, costs and timings in accuracy."""
    return accuracy.measured


@pytest.fixture(scope="session")
def with_controls(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The evaluation with the controls of the projector on held-out tasks, and with new combinations by their kind."""
    found = copy.deepcopy(evaluation)
    results, differences = found["metrics"]["results"], found["metrics"]["differences"]
    for by_kind in (*results.values(), *differences.values()):
        for kind, sorts in SORTS.items():
            if kind in by_kind:
                by_kind |= {sort: copy.deepcopy(by_kind[kind]) for sort in sorts}
    for control, mean in (("shuffled", 0.4), ("mean", 0.5), ("random", 0.3)):
        cell = {"mean": mean, "ci95": [mean - 0.02, mean + 0.02], "tasks": 12}
        gain = {"mean": 0.94 - mean, "ci95": [0.9 - mean, 0.98 - mean], "by_seed": [0.94 - mean] * 2}
        kinds = [*SORTS, *chain(*SORTS.values())]
        results[control] = {kind: dict(cell) for kind in kinds}
        differences[f"projected-{control}"] = {kind: dict(gain) for kind in kinds}
    return found


@pytest.fixture(scope="session")
def dataset_card() -> DatasetCard:
    return DatasetCard(
        name="digits & <b>more</b>",
        image_size=(8, 8),
        channels=1,
        inverted=False,
        mean=(0.3,),
        std=(0.37,),
        classes=("zero", "one", "<img src=x onerror=alert(1)>", *"3456789"),
        groups=("",) * 10,
        held_out_classes=(2, 5),
        images={"train": 1000, "validation": 200, "test": 400},
        unreadable=("a/<i>b</i>.png",),
        sha256="5f" * 32,
    )


@pytest.fixture(scope="session")
def teacher_card() -> TeacherCard:
    return TeacherCard(
        architecture="vit_tiny_patch16_224",
        arguments={"embed_dim": 96, "depth": 4},
        weights="random",
        license=None,
        params=450_000,
        metric="accuracy",
        score={"train": 0.99, "validation": 0.97, "test": 0.96},
        dataset_sha256="5f" * 32,
        data={"mean": [0.3], "std": [0.37]},
        training={"epochs": 30},
        versions={"timm": "1"},
    )


@pytest.fixture(scope="session")
def parameters() -> dict[str, Any]:
    return {
        "train_projector": TrainProjectorConfig.model_validate(
            {
                "seeds": [0, 1],
                "student": {"embed_dim": 24, "depth": 1, "num_heads": 2, "mlp_ratio": 4.0},
                "start": "principal",
                "source": "frozen",
                "free_weights": True,
                "conditioning": {"experts": 4, "film": True, "task_embed_dim": 8},
                "optimisation": {
                    "steps": 400,
                    "tasks_per_step": 4,
                    "images_per_task": 32,
                    "weight_decay": 0.01,
                    "warmup_fraction": 0.1,
                    "gradient_clip": 1.0,
                    "ema_decay": 0.99,
                    "distillation_weight": 0.5,
                    "distillation_temperature": 2.0,
                    "validate_every": 100,
                    "checkpoint_every": 100,
                },
                "learning_rates": {"projected": 0.002, "static": 0.002, "universal": 0.004},
                "ray": {},
            }
        ),
        "evaluate": EvaluateConfig.model_validate(
            {
                "seed": 0,
                "bootstrap_samples": 500,
                "example_tasks": 2,
                "train_tasks": 4,
                "latency": {"batch_sizes": [1, 32], "threads": 1, "repeats": 5},
            }
        ),
    }


@pytest.fixture(scope="session")
def examples() -> dict[str, list[Example]]:
    """By the metric: images drawn at random of two tasks, with what models say of them or draw; a cell is empty."""
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    tasks, truth = ("3 <script>alert(1)</script>", "4, 5"), ["a/3", "<b>more"]
    return {
        "accuracy": [answered(task, images[:2], truth, {"teacher": truth, "shared": truth[::-1]}) for task in tasks],
        "bits_per_pixel": [drawn(task, {"test images": images, "teacher": images[:0]}) for task in tasks],
    }


Render = Callable[[Evaluation, dict[str, Any]], str]


@pytest.fixture(scope="session")
def render(
    examples: dict[str, list[Example]],
    teacher_card: TeacherCard,
    dataset_card: DatasetCard,
    parameters: dict[str, Any],
) -> Render:
    """The report as a function of an evaluation, and of the metrics, costs and timings to show in it."""

    def rendered(of: Evaluation, measured: dict[str, Any]) -> str:
        plotted = {
            "scores": figures.scores_figure(measured["metrics"]["results"], of.metric),
            "learning_curves": figures.learning_curves_figure(of.history, of.metric),
            "tasks": figures.tasks_figure(of.results, of.metric),
            "pareto": size_figure(of.front, of.trials, of.metric),
        }
        return render_report(
            **measured,
            results=of.results,
            size_table=of.size_table,
            sizes_tried=len(of.trials),
            figures=plotted,
            examples=examples[of.metric.name],
            teacher_card=replace(teacher_card, metric=of.metric.name),
            dataset_card=dataset_card,
            run=RUN,
            parameters=parameters,
        )

    return rendered


@pytest.fixture(scope="session")
def report(render: Render, either: Evaluation) -> str:
    return render(either, either.measured)
