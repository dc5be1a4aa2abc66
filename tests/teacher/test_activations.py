"""Activation statistics, against the same figures taken by hand."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from makers import dataset_card
from projpipe.teacher import activations
from projpipe.teacher.activations import activation_statistics, measure_activations
from projpipe.teacher.data import TeacherData


def test_statistics_match_a_pass_by_hand(teacher, images) -> None:
    statistics = activation_statistics(teacher, [partial(teacher, some) for some in images.split(10)])
    x = teacher.patch_embed(images)
    x = teacher._pos_embed(x)
    read, hidden_means = [], []
    with torch.no_grad():
        for block in teacher.blocks:
            read.append(x)
            x = x + block.attn(block.norm1(x))
            read.append(x)
            hidden = block.mlp.act(block.mlp.fc1(block.norm2(x)))
            hidden_means.append(hidden.mean((0, 1)))
            x = x + block.mlp.fc2(hidden)
        read.append(x)
        rows = F.layer_norm(torch.cat(read).flatten(0, 1), (24,))
    torch.testing.assert_close(statistics["residual.second_moment"], rows.T @ rows / len(rows), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(statistics["hidden.mean"], torch.stack(hidden_means), atol=1e-5, rtol=1e-4)


def test_no_hook_stays_behind(teacher, images) -> None:
    activation_statistics(teacher, [lambda: teacher(images)])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.modules())


def test_the_teacher_is_watched_on_images_of_the_train_split_alone_evenly_spaced(
    teacher, objective, monkeypatch
) -> None:
    monkeypatch.setattr(activations, "IMAGES", 5)
    pictures = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    splits = np.where(np.arange(30) % 3 == 0, "train", "test")
    index = pd.DataFrame({"image_id": np.arange(30), "class_id": np.arange(30) % 10, "split": splits})
    card = dataset_card(classes="0123456789", std=(0.35,))
    data = TeacherData(pictures, index, card, objective, torch.device("cpu"))
    chosen = objective.encode(pictures[[0, 6, 12, 21, 27]])  # of 0, 3, 6, ..., 27
    expected = activation_statistics(teacher, [lambda: teacher(chosen)])
    for found in (measure_activations(teacher, data), measure_activations(teacher, replace(data, loading_workers=1))):
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor)


def test_nothing_of_a_held_out_class_goes_in(teacher, objective) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    index = pd.DataFrame({"image_id": np.arange(20), "class_id": np.arange(20) % 10, "split": "train"})
    card = dataset_card(classes="0123456789", std=(0.35,), held_out_classes=(3, 8))
    data = TeacherData(pictures, index, card, objective, torch.device("cpu"))
    known = objective.encode(pictures[~np.isin(np.arange(20) % 10, [3, 8])])
    expected = activation_statistics(teacher, [lambda: teacher(known)])
    found = measure_activations(teacher, data)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)
