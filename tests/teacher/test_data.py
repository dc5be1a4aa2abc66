"""A teacher's images come encoded, in batches, each with its own class."""

import numpy as np
import pandas as pd
import pytest
import torch

from makers import dataset_card
from projpipe.images.augmentation import warp
from projpipe.images.normalisation import normalise
from projpipe.objectives import Classification
from projpipe.teacher.data import TeacherData, rows_of

CARD = dataset_card(classes="abc", image_size=(4, 6))


@pytest.fixture
def data() -> TeacherData:
    """Ten images in a table that is not in their order."""
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 6, 1), np.uint8)
    splits = ["train", "test"] * 4 + ["validation", "train"]
    index = pd.DataFrame({"image_id": range(10), "class_id": [i % 3 for i in range(10)], "split": splits})
    objective = Classification(CARD.mean, CARD.std, (1, 4, 6))
    return TeacherData(images, index.sample(frac=1, random_state=0), CARD, objective, torch.device("cpu"))


def test_every_image_has_its_own_class_whatever_the_order_of_the_table(data: TeacherData) -> None:
    assert data.labels.tolist() == [i % 3 for i in range(10)]
    assert sorted(data.image_ids("train")) == [0, 2, 4, 6, 9]
    assert sorted(rows_of(data.index, "test")) == [1, 3, 5, 7]


def test_the_aspect_is_that_of_the_images(data: TeacherData) -> None:
    assert data.aspect == 1.5


def test_a_batch_holds_the_images_as_the_objective_encodes_them(data: TeacherData) -> None:
    ids = np.array([7, 0, 4])
    affine = torch.eye(2, 3).expand(3, 2, 3) * 1.1
    images, labels = data.batch(ids, affine)
    torch.testing.assert_close(images, warp(normalise(data.images[ids], CARD.mean, CARD.std), affine))
    assert labels.tolist() == [1, 0, 1]


def test_batches_are_the_same_in_parts(data: TeacherData) -> None:
    ids = np.array([7, 0, 4, 9, 2])
    affine = torch.eye(2, 3) + 0.1 * torch.arange(5.0)[:, None, None]
    parts = list(data.batches(ids, 2, affine))
    assert [len(labels) for _, labels in parts] == [2, 2, 1]
    images, labels = data.batch(ids, affine)
    assert torch.equal(torch.cat([part for part, _ in parts]), images)
    assert torch.equal(torch.cat([part for _, part in parts]), labels)
