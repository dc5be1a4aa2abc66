"""A training run in miniature, on real digits."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from timm.models.vision_transformer import VisionTransformer

from projpipe.config import TrainProjectorConfig
from projpipe.projection.source import Source
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.objectives import Classification

SETTINGS: dict[str, Any] = {
    "seeds": [0, 1],
    "student": {"embed_dim": 12, "depth": 2, "num_heads": 2, "mlp_ratio": 1.5},
    "start": "principal",
    "source": "frozen",
    "free_weights": True,
    "conditioning": {"templates": 2, "rank": 0, "gates": True, "units": False, "task_embed_dim": 8},
    "optimisation": {
        "steps": 12,
        "tasks_per_step": 2,
        "images_per_task": 8,
        "weight_decay": 0.01,
        "warmup_fraction": 0.1,
        "gradient_clip": 1.0,
        "ema_decay": 0.9,
        "distillation_weight": 0.5,
        "distillation_temperature": 2.0,
        "validate_every": 6,
        "checkpoint_every": 4,
    },
    "learning_rates": {"projected": 0.002, "static": 0.002, "universal": 0.004},
    "ray": {"address": None, "num_workers": 1, "use_gpu": False, "cpus_per_worker": 1, "max_failures": 1},
}


def settings(**changes: Any) -> TrainProjectorConfig:
    """The miniature settings; a dictionary among the changes is merged into the one it names."""
    merged = {**SETTINGS}
    for key, value in changes.items():
        merged[key] = {**SETTINGS[key], **value} if isinstance(value, dict) else value
    return TrainProjectorConfig(**merged)


@pytest.fixture(name="settings", scope="session")
def settings_fixture() -> Any:
    return settings


@pytest.fixture(scope="session")
def run_inputs(source: Source, teacher: VisionTransformer, objective: Classification) -> RunInputs:
    digits = load_digits()
    images = (digits.images * 15).astype(np.uint8)[:500, :, :, None]
    labels = torch.tensor(digits.target[:500])
    train, validation = torch.arange(300), torch.arange(300, 400)
    with torch.no_grad():
        logits = teacher(objective.encode(images))
    identity = torch.eye(2, 3).expand(1, 300, 2, 3)
    return RunInputs(
        config=settings(),
        objective=objective,
        source=source,
        logits={
            "train_image_ids": train,
            "train_affine": identity,
            "train_logits": logits[None, :300],
            "validation_image_ids": validation,
            "test_image_ids": torch.arange(400, 500),
            "test_class_scores": logits[400:],
        },
        labels=labels,
        train_tasks=[[0, 1], [2, 3, 4], [1, 5, 6]],
        validation_tasks=[[0, 5], [3, 6]],
        images=images,
        images_sha256="digits",
    )
