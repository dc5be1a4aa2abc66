"""A teacher is trained on its train split alone, and a run that was stopped ends where it would have ended."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from makers import digits_data, teacher_config
from projpipe.config import ExtractTeacherConfig
from projpipe.errors import InputError
from projpipe.images.normalisation import normalise
from projpipe.teacher import train as training
from projpipe.teacher.create import create_teacher
from projpipe.teacher.data import TeacherData
from projpipe.training.checkpoint import TENSORS


def small_teacher(**changes: Any) -> ExtractTeacherConfig:
    """The small settings; changes of `training` are added to them."""
    return teacher_config(
        # With dropout, whose draws a resumed run must repeat.
        arguments={"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "proj_drop_rate": 0.1},
        training={
            "epochs": 4,
            "batch_size": 32,
            "learning_rate": 0.003,
            "weight_decay": 0.05,
            "label_smoothing": 0.1,
            **changes,
        },
        augmentation={"copies": 2, "rotation": 10.0, "translation": 0.05, "scale": 0.1},
    )


@pytest.fixture(scope="module")
def data() -> TeacherData:
    return digits_data({"train": 200, "validation": 60, "test": 40})


@pytest.fixture(scope="module")
def untrained(data: TeacherData) -> VisionTransformer:
    return create_teacher(small_teacher(), data.objective, data.card, Path())


def train(
    untrained: VisionTransformer, data: TeacherData, runs: Path, config: ExtractTeacherConfig | None = None
) -> tuple[VisionTransformer, list[dict[str, float]]]:
    model = copy.deepcopy(untrained)
    return model, training.train_teacher(model, data, config or small_teacher(), runs)


def stop_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> list[str]:
    """Interrupt a run when it validates the n-th time, 0 for never; returns the list that validations are noted in."""
    measure, measured = training.measure, []

    def measure_or_stop(*arguments: Any) -> float:
        measured.append(arguments[-1])
        if len(measured) == epoch:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(training, "measure", measure_or_stop)
    return measured


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_training_lowers_the_loss_and_is_not_done_again(
    untrained: VisionTransformer, data: TeacherData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_teacher(epochs=12, learning_rate=0.01)
    model, history = train(untrained, data, tmp_path, config)
    assert [row.epoch for row in history] == list(range(1, 13))
    assert history[-1].loss < 0.7 * history[0].loss
    assert history[-1].validation_score > max(0.5, history[0].validation_score)
    assert not model.training
    measured = stop_in_epoch(monkeypatch, 0)
    again, told = train(untrained, data, tmp_path, config)
    assert measured == []
    assert told == history
    assert same(again, model)
    assert not again.training


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_stopped_run_ends_bit_for_bit_like_one_that_was_never_stopped(
    epoch: int,
    untrained: VisionTransformer,
    data: TeacherData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, history = train(untrained, data, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(KeyboardInterrupt):
            train(untrained, data, tmp_path)
    torch.manual_seed(99)  # as another process would have
    measured = stop_in_epoch(monkeypatch, 0)
    resumed, again = train(untrained, data, tmp_path)
    assert len(measured) == 4 - (epoch - 1)
    assert again == history
    assert same(resumed, whole)


def test_a_run_with_another_setting_does_not_go_on_from_it(
    untrained: VisionTransformer,
    data: TeacherData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(untrained, data, tmp_path)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    other = small_teacher(label_smoothing=0.0)
    model, _ = train(untrained, data, tmp_path, other)
    assert same(model, train(untrained, data, tmp_path / "elsewhere", other)[0])
    assert left[0].exists()


def test_images_and_labels_of_other_splits_change_nothing(
    untrained: VisionTransformer, data: TeacherData, tmp_path: Path
) -> None:
    kept = data.index["split"] == "train"
    others = np.where(kept.to_numpy()[:, None, None, None], data.images, 255 - data.images)
    relabelled = data.index.assign(class_id=data.index["class_id"].where(kept, 0))
    config = small_teacher(epochs=2)
    model, _ = train(untrained, data, tmp_path, config)
    changed = replace(data, images=others, index=relabelled)
    assert same(model, train(untrained, changed, tmp_path / "others", config)[0])
    assert not same(model, untrained)


def test_no_epochs_leave_the_weights_as_they_are(
    untrained: VisionTransformer, data: TeacherData, tmp_path: Path
) -> None:
    model, history = train(untrained, data, tmp_path, small_teacher(epochs=0))
    assert history == []
    assert same(model, untrained)


def test_a_loss_that_is_no_number_is_refused(untrained: VisionTransformer, data: TeacherData, tmp_path: Path) -> None:
    message = r"extract_teacher\.training\.learning_rate: with 1e\+30 the loss is nan in epoch 1; lower it"
    with pytest.raises(InputError, match=message):
        train(untrained, data, tmp_path, small_teacher(learning_rate=1e30))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_accuracy_is_the_share_of_images_of_the_split_put_in_the_right_class(
    split: str, untrained: VisionTransformer, data: TeacherData
) -> None:
    model = copy.deepcopy(untrained)
    right = []
    with torch.no_grad():
        for image_id, class_id, own in data.index[["image_id", "class_id", "split"]].itertuples(index=False):
            if own == split:
                logits = model(normalise(data.images[image_id : image_id + 1], data.card.mean, data.card.std))
                right.append(int(logits.argmax()) == class_id)
    found = training.measure(model.train(), data, split)
    assert found == pytest.approx(sum(right) / len(right))
    assert training.measure_splits(model, data)[split] == found
    assert not model.training


def test_weight_decay_is_for_matrices_alone(untrained: VisionTransformer, data: TeacherData, tmp_path: Path) -> None:
    """One step with a learning rate too small to learn anything, and a decay that halves what it is for."""
    rate = 1e-6
    config = small_teacher(epochs=1, batch_size=len(data.images), learning_rate=rate, weight_decay=0.5 / rate)
    for name, tensor in train(untrained, data, tmp_path, config)[0].state_dict().items():
        decays = name.endswith("weight") and tensor.ndim > 1  # neither normalisations nor tokens and positions
        before = untrained.state_dict()[name]
        torch.testing.assert_close(tensor, before * (0.5 if decays else 1.0), atol=2 * rate, rtol=1e-4)


def test_training_draws_no_number_from_torchs_own_generator(
    untrained: VisionTransformer, data: TeacherData, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(untrained, data, tmp_path, small_teacher(epochs=1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_damaged_checkpoint_is_named_with_the_fix(
    untrained: VisionTransformer, data: TeacherData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(untrained, data, tmp_path)
    file = next(tmp_path.iterdir()) / TENSORS
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"checkpoint {file.parent}: cannot be read .*; delete the folder"):
        train(untrained, data, tmp_path)
