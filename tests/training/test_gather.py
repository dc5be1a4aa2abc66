"""What a run is given fits its objective."""

import numpy as np
import pandas as pd
import pytest
import torch

from makers import dataset_card
from projpipe.errors import InputError
from projpipe.objectives import Classification, ImageModeling
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.objectives.tokens import Tokens
from projpipe.training.gather import check_tasks, gather_run_inputs

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
