from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from projpipe.errors import InputError
from projpipe.evaluation.scores import masked_scores, task_scores
from projpipe.objectives import Classification

LABELS = torch.arange(32) % 10


@pytest.fixture
def tasks() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task_id": [3, 7],
            "name": ["a", "b"],
            "class_ids": [np.array([1, 4, 9]), [0, 2]],
            "kind": ["new_combination", "new_class"],
            "strategy": ["random", "random"],
        }
    )


class WithRowsOf(nn.Module):
    """The teacher with the classifier rows of some classes."""

    def __init__(self, teacher: VisionTransformer, classes: Sequence[int]) -> None:
        super().__init__()
        self.teacher, self.rows = teacher, list(classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.teacher.forward_head(self.teacher.forward_features(images), pre_logits=True)
        return functional.linear(features, self.teacher.head.weight[self.rows], self.teacher.head.bias[self.rows])


def test_accuracy_is_that_of_a_loop_over_images(
    teacher: VisionTransformer, images: torch.Tensor, tasks: pd.DataFrame, objective: Classification
) -> None:
    makers = {"small": partial(WithRowsOf, teacher)}
    table = task_scores(makers, objective, images.__getitem__, LABELS, tasks, batch_size=5)["small"]

    with torch.no_grad():
        logits = teacher(images)
    for row, classes in zip(table.itertuples(), ([1, 4, 9], [0, 2]), strict=True):
        judged = [i for i in range(32) if LABELS[i] in classes]
        hits = [max(classes, key=lambda c: logits[i, c].item()) == LABELS[i] for i in judged]
        assert row.images == len(judged)
        assert row.num_classes == len(classes)
        assert row.score == pytest.approx(np.mean(hits))
        of_classes = [[hit for i, hit in zip(judged, hits, strict=True) if LABELS[i] == c] for c in classes]
        assert (list(row.class_ids), row.image_scores) == (classes, of_classes)
    assert list(table["task_id"]) == [3, 7]
    assert list(table["kind"]) == ["new_combination", "new_class"]


def test_masking_the_logits_of_all_classes_equals_the_model_with_only_the_tasks_rows(
    teacher: VisionTransformer, images: torch.Tensor, tasks: pd.DataFrame, objective: Classification
) -> None:
    with torch.no_grad():
        masked = masked_scores(objective, teacher(images), LABELS, tasks)

    small = task_scores({0: partial(WithRowsOf, teacher)}, objective, images.__getitem__, LABELS, tasks)[0]
    pd.testing.assert_frame_equal(masked, small)


def test_answers_are_read_in_the_order_of_the_classes(objective: Classification) -> None:
    tasks = pd.DataFrame(
        {"task_id": [0], "name": ["swapped"], "class_ids": [[4, 1]], "kind": ["train"], "strategy": ["random"]}
    )
    logits = torch.zeros(2, 10)
    logits[0, 4], logits[1, 1] = 1, 1

    assert masked_scores(objective, logits, torch.tensor([4, 1]), tasks)["score"].item() == 1
    assert masked_scores(objective, logits, torch.tensor([1, 4]), tasks)["score"].item() == 0


def test_a_task_without_images_is_named(objective: Classification) -> None:
    tasks = pd.DataFrame(
        {"task_id": [0], "name": ["empty"], "class_ids": [[4, 5]], "kind": ["train"], "strategy": ["random"]}
    )
    with pytest.raises(InputError, match="'empty' has no image"):
        masked_scores(objective, torch.zeros(2, 10), torch.tensor([0, 1]), tasks)
