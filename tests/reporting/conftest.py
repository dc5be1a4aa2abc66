"""A small evaluation to report on: accuracies drawn at random, sizes and latencies measured on tiny timm models."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from projpipe.config import EvaluateConfig, LatencyConfig, StudentConfig, TrainProjectorConfig
from projpipe.evaluation.cost import deployed_cost
from projpipe.evaluation.latency import measure_timings
from projpipe.evaluation.metrics import TEACHER_SEED, build_metrics
from projpipe.reporting import figures
from projpipe.reporting.report import render_report

MEANS = {"teacher": 0.95, "projected": 0.94, "static": 0.92, "universal": 0.85}
KINDS = ["new_combination"] * 12 + ["new_class"] * 4 + ["train"] * 4


def vit(embed_dim: int, depth: int, num_classes: int) -> torch.nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=8,
        patch_size=2,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=2,
        in_chans=1,
        num_classes=num_classes,
    ).eval()


@pytest.fixture(scope="session")
def results() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    records = [
        {
            "method": method,
            "seed": seed,
            "task_id": task_id,
            "task_name": f"task {task_id} <script>alert(1)</script>",
            "kind": kind,
            "strategy": "random",
            "num_classes": 3,
            "images": 60,
            "accuracy": float(np.clip(mean + rng.normal(0, 0.02), 0, 1)),
        }
        for method, mean in MEANS.items()
        for seed in ([TEACHER_SEED] if method == "teacher" else [0, 1])
        for task_id, kind in enumerate(KINDS)
    ]
    return pd.DataFrame(records)


@pytest.fixture(scope="session")
def history() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "method": method,
                "seed": seed,
                "step": step,
                "loss": 1 / (1 + step),
                "validation_accuracy": MEANS[method] - 0.4 * (1 - step / 400) ** 2 - 0.01 * seed,
            }
            for method in ("projected", "static", "universal")
            for seed in (0, 1)
            for step in (0, 100, 200, 300, 400)
        ]
    )


@pytest.fixture(scope="session")
def trials() -> pd.DataFrame:
    rows = [
        (12, 1, 2, 1.0, 3_400, 0.84),
        (16, 2, 2, 2.0, 9_800, 0.90),
        (24, 1, 4, 2.0, 8_100, 0.89),
        (24, 3, 4, 4.0, 34_000, 0.89),
    ]
    table = pd.DataFrame(
        rows, columns=["embed_dim", "depth", "num_heads", "mlp_ratio", "params", "validation_accuracy"]
    )
    return table.assign(trial=range(len(rows)), pareto=[True, True, True, False])


@pytest.fixture(scope="session")
def evaluation(results: pd.DataFrame) -> dict[str, Any]:
    """metrics, costs and timings of the results above."""
    models = {"teacher": vit(96, 4, 10)} | dict.fromkeys(["projected", "static", "universal"], vit(24, 1, 3))
    costs = {name: deployed_cost(model, (1, 8, 8)) for name, model in models.items()}
    timings = measure_timings(
        models["teacher"],
        {method: lambda classes: vit(24, 1, len(classes)) for method in ("projected", "static", "universal")},
        tasks=[[0, 1], [1, 2, 3]],
        classes=[1, 2, 3],
        image_shape=(1, 8, 8),
        config=LatencyConfig(batch_sizes=(1, 32), threads=1, repeats=5),
    )
    student = StudentConfig(embed_dim=24, depth=1, num_heads=2, mlp_ratio=4.0)
    return {
        "metrics": build_metrics("digits & <b>more</b>", results, costs, student, bootstrap_samples=500, seed=0),
        "costs": costs,
        "timings": timings,
    }


@pytest.fixture(scope="session")
def with_controls(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The evaluation with the controls of the projector on held-out tasks, and with new combinations by their kind."""
    found = copy.deepcopy(evaluation)
    results, differences = found["metrics"]["results"], found["metrics"]["differences"]
    for by_kind in (*results.values(), *differences.values()):
        by_kind |= {kind: copy.deepcopy(by_kind["new_combination"]) for kind in ("coherent", "random")}
    for control, mean in (("shuffled", 0.4), ("mean", 0.5), ("random", 0.3)):
        cell = {"mean": mean, "ci95": [mean - 0.02, mean + 0.02], "tasks": 12}
        gain = {"mean": 0.94 - mean, "ci95": [0.9 - mean, 0.98 - mean]}
        kinds = ("new_combination", "coherent", "random", "new_class")
        results[control] = {kind: dict(cell) for kind in kinds}
        differences[f"projected-{control}"] = {kind: dict(gain) for kind in kinds}
    return found


@pytest.fixture(scope="session")
def dataset_card() -> dict[str, Any]:
    return {
        "name": "digits & <b>more</b>",
        "image_size": [8, 8],
        "channels": 1,
        "mean": [0.3],
        "std": [0.37],
        "classes": ["zero", "one", "<img src=x onerror=alert(1)>", *"3456789"],
        "groups": [""] * 10,
        "held_out_classes": [2, 5],
        "images": {"train": 1000, "validation": 200, "test": 400},
        "unreadable": ["a/<i>b</i>.png"],
        "sha256": "5f" * 32,
    }


@pytest.fixture(scope="session")
def teacher_card() -> dict[str, Any]:
    return {
        "architecture": "vit_tiny_patch16_224",
        "arguments": {"embed_dim": 96, "depth": 4},
        "weights": "random",
        "params": 450_000,
        "macs": 8_000_000,
        "accuracy": {"train": 0.99, "validation": 0.97, "test": 0.96},
        "data": {"mean": [0.3], "std": [0.37]},
        "training": {"epochs": 30},
        "versions": {"timm": "1"},
    }


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
                "conditioning": {"templates": 4, "rank": 0, "gates": True, "units": False, "task_embed_dim": 8},
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
                "train_tasks": 4,
                "latency": {"batch_sizes": [1, 32], "threads": 1, "repeats": 5},
            }
        ),
    }


@pytest.fixture(scope="session")
def render(
    evaluation: dict[str, Any],
    results: pd.DataFrame,
    history: pd.DataFrame,
    trials: pd.DataFrame,
    teacher_card: dict[str, Any],
    dataset_card: dict[str, Any],
    parameters: dict[str, Any],
) -> Callable[[dict[str, Any]], str]:
    """The report as a function of metrics, costs and timings."""
    drawn = {
        "accuracy": figures.accuracy_figure(evaluation["metrics"]["results"]),
        "learning_curves": figures.learning_curves_figure(history),
        "tasks": figures.tasks_figure(results),
        "pareto": figures.pareto_figure(trials, teacher_accuracy=0.93),
    }
    return lambda evaluated: render_report(
        **evaluated,
        results=results,
        sweep_trials=trials,
        figures=drawn,
        teacher_card=teacher_card,
        dataset_card=dataset_card,
        parameters=parameters,
    )


@pytest.fixture(scope="session")
def report(render: Callable[[dict[str, Any]], str], evaluation: dict[str, Any]) -> str:
    return render(evaluation)
