"""What the teacher's card says is what the teacher and its data are."""

import json

import numpy as np
import pandas as pd
import torch

from projpipe.config import ExtractTeacherConfig
from projpipe.images.dataset_card import DatasetCard
from projpipe.objectives import Classification
from projpipe.teacher.create import create_teacher
from projpipe.teacher.data import TeacherData
from projpipe.teacher.describe import describe_teacher

CARD = DatasetCard(
    name="noise",
    image_size=(8, 8),
    channels=1,
    inverted=False,
    mean=(0.3,),
    std=(0.4,),
    classes=tuple("abc"),
    groups=("",) * 3,
    held_out_classes=(2,),
    images={"train": 1},
    unreadable=(),
    sha256="5f",
)


def test_it_tells_how_the_teacher_was_made_and_what_it_reads(tmp_path) -> None:
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "weight_decay": 0.0, "label_smoothing": 0.0}
    augmentation = {"copies": 1, "rotation": 0.0, "translation": 0.0, "scale": 0.0, "shear": 0.0}
    config = ExtractTeacherConfig(
        seed=3,
        objective={"name": "classification"},
        architecture="vit_tiny_patch16_224",
        arguments={"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 3},
        weights="random",
        training=training,
        augmentation=augmentation,
    )
    objective = Classification.fit(config, CARD)
    index = pd.DataFrame({"image_id": [0], "class_id": [0], "split": ["train"]})
    data = TeacherData(np.zeros((1, 8, 8, 1), np.uint8), index, CARD, objective, torch.device("cpu"))
    model = create_teacher(config, objective, CARD, tmp_path)
    described = describe_teacher(model, data, config, {"train": 0.12345678, "test": 1.0}).to_json()
    versions = described.pop("versions")
    assert versions["torch"].startswith(torch.__version__.partition("+")[0])
    assert json.dumps(described) == json.dumps(
        {
            "architecture": "vit_tiny_patch16_224",
            "arguments": {"img_size": [8, 8], "patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 3},
            "weights": "random",
            "license": None,
            "params": sum(parameter.numel() for parameter in model.parameters()),
            "metric": "accuracy",
            "score": {"train": 0.123457, "test": 1.0},
            "dataset_sha256": "5f",
            "data": {
                "name": "noise",
                "mean": [0.3],
                "std": [0.4],
                "image_size": [8, 8],
                "channels": 1,
                "classes": ["a", "b", "c"],
            },
            "training": {"seed": 3, "training": training, "augmentation": augmentation},
        }
    )
