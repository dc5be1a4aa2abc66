"""What a run is given fits its objective."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from makers import dataset_card
from projpipe.errors import InputError
from projpipe.objectives import Classification, ImageModeling
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.objectives.tokens import Tokens
from projpipe.training.gather import check_tasks, gather_run_inputs
from projpipe.training.run_inputs import RunInputs

DATASET = dataset_card()
TEACHER = TeacherCard("vit", {}, "random", None, 1, "accuracy", {}, "0", {}, {}, {})


def tasks(*class_ids: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"name": [f"task {number}" for number in range(len(class_ids))], "class_ids": class_ids})


def test_a_task_of_one_class_is_refused_where_classes_are_told_apart(objective: Classification) -> None:
    check_tasks(objective, tasks([1, 4], [0, 2, 3]))
    message = (
        r"split_tasks\.tasks: 'task 1' has fewer than the 2 classes that classification needs; raise .*or name more"
    )
    with pytest.raises(InputError, match=message):
        check_tasks(objective, tasks([1, 4], [3]))


def test_a_teacher_of_other_images_is_refused(objective: Classification) -> None:
    nothing = torch.zeros(0)
    with pytest.raises(InputError, match="teacher: its card does not say .* split_tasks has left; make it anew"):
        gather_run_inputs(
            images=np.zeros((1, 8, 8, 1), np.uint8),
            index=pd.DataFrame(),
            tasks=tasks([1, 4]),
            dataset_card=DATASET,
            objective=objective,
            teacher=torch.nn.Identity(),
            teacher_card=TEACHER,
            source_weights={},
            source_statistics={},
            teacher_logits=TeacherLogits(nothing, None, nothing, {}),
            config=None,
        )


def test_a_task_of_one_class_is_none_too_few_for_image_modeling() -> None:
    modeling = ImageModeling(Tokens((2, 2), 3), unconditional=0.1)
    with pytest.raises(InputError, match="'task 2' has fewer than the 1 classes that image_modeling needs"):
        check_tasks(modeling, tasks([1, 4], [3], []))


def test_tasks_come_by_what_they_are_for(run_inputs: RunInputs, teacher: VisionTransformer, settings: Any) -> None:
    card = dataset_card(classes="0123456789")
    kinds = ["train", "train", "validation", "validation_new_class", "new_class"]
    given = tasks([0, 1], [1, 2], [0, 2], [3, 4], [5, 6]).assign(kind=kinds, weight=[1.0, 2.5, 1.0, 1.0, 1.0])
    gathered = gather_run_inputs(
        images=run_inputs.images,
        index=pd.DataFrame({"image_id": range(500), "class_id": run_inputs.labels.numpy()}),
        tasks=given,
        dataset_card=card,
        objective=run_inputs.objective,
        teacher=teacher,
        teacher_card=replace(TEACHER, dataset_sha256=card.sha256),
        source_weights=run_inputs.source.weights,
        source_statistics=run_inputs.source.statistics,
        teacher_logits=run_inputs.logits,
        config=settings(),
    )
    assert gathered.train_tasks == [[0, 1], [1, 2]]
    assert gathered.train_weights == [1.0, 2.5]
    assert gathered.validation_tasks == [[0, 2]]
    assert gathered.new_class_validation_tasks == [[3, 4]]
