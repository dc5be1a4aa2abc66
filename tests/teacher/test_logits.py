"""What is kept of the teacher is what it says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer

from makers import digits_data, teacher_config
from projpipe.config import Augmentation, ExtractTeacherConfig
from projpipe.images.augmentation import sample_affine
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.teacher.data import TeacherData
from projpipe.teacher.logits import cache_teacher_logits, run_on

AUGMENTATION = Augmentation(copies=3, rotation=20.0, translation=0.1, scale=0.1, shear=5.0)


def config(**changes: Any) -> ExtractTeacherConfig:
    return teacher_config(**{"augmentation": AUGMENTATION, **changes})


@pytest.fixture(scope="module")
def data() -> TeacherData:
    return digits_data({"train": 40, "validation": 12, "test": 8})


@pytest.fixture(scope="module")
def images(data: TeacherData) -> np.ndarray:
    return data.images


@pytest.fixture(scope="module")
def index(data: TeacherData) -> pd.DataFrame:
    return data.index


@pytest.fixture(scope="module")
def cached(teacher: VisionTransformer, data: TeacherData) -> TeacherLogits:
    return cache_teacher_logits(teacher, data, config())


def predict(
    teacher: torch.nn.Module,
    data: TeacherData,
    image_ids: np.ndarray,
    views: torch.Tensor | None = None,
    batch_size: int = 512,
) -> torch.Tensor:
    """Logits `[N, K]` of these images."""
    return run_on(lambda batch, _: teacher(batch), teacher, data, image_ids, views, batch_size)


def see(image: np.ndarray, view: torch.Tensor | None = None) -> torch.Tensor:
    """One image `[1, 1, 8, 8]` as the teacher reads it."""
    shown = (torch.tensor(image[:, :, 0] / 255, dtype=torch.float32)[None, None] - 0.3) / 0.35
    if view is None:
        return shown
    grid = F.affine_grid(view[None], [1, 1, 8, 8], align_corners=False)
    return F.grid_sample(shown, grid, padding_mode="border", align_corners=False)


@torch.no_grad()
def test_stored_logits_are_the_live_teachers_on_the_stored_views(
    cached: TeacherLogits, teacher: VisionTransformer, images: np.ndarray
) -> None:
    assert cached.train_affine.shape == (3, 40, 2, 3)
    assert cached.train_logits.shape == (3, 40, 10)
    for view in range(3):
        for i, image_id in enumerate(cached.image_ids["train"].tolist()):
            live = teacher(see(images[image_id], cached.train_affine[view, i]))[0]
            torch.testing.assert_close(cached.train_logits[view, i], live, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_images_that_are_judged_on_are_seen_as_they_are(
    cached: TeacherLogits, teacher: VisionTransformer, images: np.ndarray
) -> None:
    for image_id, scores in zip(cached.image_ids["test"].tolist(), cached.test_class_scores, strict=True):
        torch.testing.assert_close(scores, teacher(see(images[image_id]))[0], atol=1e-4, rtol=1e-4)


def test_the_first_view_is_the_image_itself_and_the_others_all_differ(cached: TeacherLogits) -> None:
    first, *others = cached.train_affine
    assert torch.equal(first, torch.eye(2, 3).expand(40, 2, 3))
    assert len(torch.cat(others).flatten(1).unique(dim=0)) == 80
    assert (cached.train_logits[0] - cached.train_logits[1]).abs().amax(1).min() > 0


def test_every_image_is_in_one_split_under_its_own_number(cached: TeacherLogits, index: pd.DataFrame) -> None:
    ids = {split: cached.image_ids[split].tolist() for split in ("train", "validation", "test")}
    assert sorted(ids["train"] + ids["validation"] + ids["test"]) == list(range(60))
    for split, own in ids.items():
        assert own == [i for i in range(60) if index["split"][i] == split]


def test_one_copy_is_the_image_alone(teacher: VisionTransformer, data: TeacherData) -> None:
    alone = AUGMENTATION.model_copy(update={"copies": 1})
    cached = cache_teacher_logits(teacher, data, config(augmentation=alone))
    expected = predict(teacher, data, data.image_ids("train"))
    assert cached.train_affine is None
    assert cached.train_logits.shape == (1, 40, 10)
    torch.testing.assert_close(cached.train_logits[0], expected, atol=1e-4, rtol=1e-4)


def test_the_seed_alone_decides_the_views(cached: TeacherLogits, teacher: VisionTransformer, data: TeacherData) -> None:
    def views(seed: int) -> Any:
        return cache_teacher_logits(teacher, data, config(seed=seed)).train_affine

    assert torch.equal(views(0), cached.train_affine)
    assert not torch.equal(views(1), cached.train_affine)


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_the_size_of_batches_does_not_change_what_is_predicted(
    batch_size: int, teacher: VisionTransformer, data: TeacherData
) -> None:
    order = np.random.default_rng(0).permutation(60)
    views = sample_affine(AUGMENTATION, 60, torch.Generator().manual_seed(0))
    in_parts = predict(teacher, data, order, views[order], batch_size)
    at_once = predict(teacher, data, np.arange(60), views)
    torch.testing.assert_close(in_parts, at_once[order], atol=1e-5, rtol=1e-5)


def test_a_rotation_of_oblong_images_is_one_in_pixels(data: TeacherData) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 12, 1), np.uint8)
    splits = ["train"] * 4 + ["validation", "test"]
    index = pd.DataFrame({"image_id": np.arange(6), "class_id": 0, "split": splits})
    rotate = Augmentation(copies=2, rotation=40.0, translation=0.0, scale=0.0, shear=0.0)
    teacher = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(96, 3))
    oblong = replace(data, images=images, index=index, card=replace(data.card, image_size=(8, 12)))
    cached = cache_teacher_logits(teacher, oblong, config(augmentation=rotate))
    half = torch.diag(torch.tensor([12.0, 8.0]) / 2)  # from shares of the image to pixels
    in_pixels = half @ cached.train_affine[1, :, :, :2] @ half.inverse()
    torch.testing.assert_close(in_pixels @ in_pixels.mT, torch.eye(2).expand(4, 2, 2), atol=1e-5, rtol=0)
    assert in_pixels[:, 0, 1].abs().min() > 1e-3


def test_what_is_prefetched_is_what_is_read_in_between(
    cached: TeacherLogits, teacher: VisionTransformer, data: TeacherData
) -> None:
    expected = cached.to_tensors()
    prefetched = cache_teacher_logits(teacher, replace(data, loading_workers=2), config()).to_tensors()
    assert prefetched.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in prefetched.items())


def test_a_lower_precision_is_for_what_is_taught_and_not_for_what_is_judged(
    cached: TeacherLogits, teacher: VisionTransformer, data: TeacherData
) -> None:
    coarse = cache_teacher_logits(teacher, data, config(precision="bfloat16"))
    assert torch.equal(coarse.test_class_scores, cached.test_class_scores)
    assert coarse.train_logits.dtype == torch.float32
    off = (coarse.train_logits - cached.train_logits).abs().max() / cached.train_logits.abs().max()
    assert 0 < off < 0.03
