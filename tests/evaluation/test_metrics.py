import json

import pandas as pd
import pytest

from projpipe.config import StudentConfig
from projpipe.evaluation.cost import Cost
from projpipe.evaluation.metrics import TEACHER_SEED, Metrics, build_metrics
from projpipe.objectives import Classification

STUDENT = StudentConfig(embed_dim=24, depth=2, num_heads=4, mlp_ratio=2.0)
COSTS = {"teacher": Cost(params=1000, macs=5000), "projected": Cost(params=90, macs=1000)}


@pytest.fixture
def metrics(objective: Classification) -> Metrics:
    results = pd.DataFrame(
        [
            {
                "method": method,
                "seed": seed,
                "class_ids": [4, 7],
                "score": score,
                "image_scores": [[score], [score] * 3],
            }
            for method, seed, score in (("teacher", TEACHER_SEED, 0.9), ("projected", 0, 0.8), ("projected", 1, 0.7))
        ]
    ).assign(task_id=0, kind="new_class", strategy="random", images=4)
    return build_metrics("digits", objective, results, COSTS, STUDENT, bootstrap_samples=400, seed=0)


def test_the_form_is_that_of_metrics_json(metrics: Metrics) -> None:
    assert json.loads(json.dumps(metrics)) == metrics
    assert list(metrics) == [
        *("dataset", "objective", "metric", "higher_is_better", "teacher", "student", "reduction"),
        *("results", "differences"),
    ]
    assert {k: metrics[k] for k in ("dataset", "objective", "metric", "higher_is_better")} == {
        "dataset": "digits",
        "objective": "classification",
        "metric": "accuracy",
        "higher_is_better": True,
    }
    assert metrics["teacher"] == {"params": 1000, "macs": 5000}
    assert metrics["student"] == {
        "params": 90,
        "macs": 1000,
        "embed_dim": 24,
        "depth": 2,
        "num_heads": 4,
        "mlp_ratio": 2.0,
    }
    assert metrics["reduction"] == {"params": 0.91, "macs": 0.8}
    assert metrics["results"]["teacher"] == {"new_class": {"mean": 0.9, "ci95": [0.9, 0.9], "tasks": 1}}
    difference = metrics["differences"]["projected-teacher"]["new_class"]
    assert list(difference) == ["mean", "ci95", "by_seed"]
    assert (difference["mean"], difference["by_seed"]) == (-0.15, [-0.1, -0.2])
