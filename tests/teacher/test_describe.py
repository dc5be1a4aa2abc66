"""What the teacher's card says is what the teacher and its data are."""

import json

import numpy as np
import pandas as pd
import torch

from makers import TEACHER, dataset_card, teacher_config
from projpipe.objectives import Classification
from projpipe.teacher.create import create_teacher
from projpipe.teacher.data import TeacherData
from projpipe.teacher.describe import describe_teacher

CARD = dataset_card(classes="abc", held_out_classes=(2,))


def test_it_tells_how_the_teacher_was_made_and_what_it_reads(tmp_path) -> None:
    config = teacher_config(seed=3, arguments={"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 3})
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
            "training": {
                "seed": 3,
                "training": TEACHER["training"],
                "augmentation": {**TEACHER["augmentation"], "flip": False, "colour": 0.0},
            },
        }
    )
