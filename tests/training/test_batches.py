"""Batches hold what their tasks say."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from projpipe.training.batches import TrainingData, draw_batch
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.transformer.class_weights import pad_tasks


@pytest.fixture
def data(run_inputs: RunInputs, tmp_path: Path) -> TrainingData:
    return load_staged(tmp_path / run_inputs.stage(tmp_path, "projected", {}))[0]


def test_every_image_shows_the_class_of_its_label(data: TrainingData) -> None:
    batch = draw_batch(data, 3, 10, seed=(0, 5))
    classes = batch.classes.gather(1, batch.labels)
    everything = data.train.read(torch.arange(300))
    for task in range(3):
        for image, class_id in zip(batch.images[task], classes[task], strict=True):
            row = (everything - image).abs().flatten(1).sum(1).argmin()
            assert data.train.labels[row] == class_id


def test_teacher_logits_are_those_of_the_image_for_the_classes_of_the_task(data: TrainingData, teacher) -> None:
    batch = draw_batch(data, 3, 10, seed=(0, 5))
    with torch.no_grad():
        live = teacher(batch.images.flatten(0, 1)).view(3, 10, -1)
    expected = live.gather(2, batch.classes[:, None].expand(-1, 10, -1))
    torch.testing.assert_close(batch.teacher_logits, expected, atol=1e-4, rtol=1e-4)


def test_workers_share_one_batch_between_them(data: TrainingData) -> None:
    whole = draw_batch(data, 2, 6, seed=(1, 0))
    parts = [draw_batch(data, 2, 6, seed=(1, 0), share=slice(i, None, 2)) for i in (0, 1)]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
    for task, part in enumerate(parts):
        assert torch.equal(part.keep_rows[0], whole.keep_rows[task, : part.keep_rows.shape[1]])


def test_class_row_dropout_leaves_out_half_of_the_rows(data: TrainingData) -> None:
    drawn = [draw_batch(data, 2, 6, seed=(1, step)) for step in range(100)]
    share = torch.cat([batch.keep_rows[batch.mask] for batch in drawn]).double().mean()
    assert abs(share - 0.5) < 0.1


def test_weights_say_how_often_a_task_is_drawn(data: TrainingData) -> None:
    def drawn(*weights: float) -> torch.Tensor:
        batches = [draw_batch(replace(data, train_weights=weights), 2, 6, (1, step)) for step in range(300)]
        firsts = torch.cat([batch.classes[:, 0] for batch in batches])
        return torch.stack([firsts == task[0] for task in data.train_tasks]).double().mean(1)

    torch.testing.assert_close(drawn(1, 6, 1), torch.tensor([1, 6, 1]).double() / 8, atol=0.05, rtol=0)
    assert torch.equal(drawn(2, 2, 2), drawn())


def test_the_seed_fixes_the_batch(data: TrainingData) -> None:
    def images(*seed: int) -> torch.Tensor:
        return draw_batch(data, 2, 6, seed=seed).images

    assert torch.equal(images(0, 1), images(0, 1))
    assert not torch.equal(images(0, 1), images(0, 2))


def test_tasks_of_different_sizes_are_filled_up_and_masked() -> None:
    classes, mask = pad_tasks([[4, 2], [7, 8, 9]])
    assert mask.tolist() == [[True, True, False], [True, True, True]]
    assert classes[mask].tolist() == [4, 2, 7, 8, 9]


def test_images_for_the_source_are_of_classes_that_are_trained_on(data: TrainingData) -> None:
    drawn = [draw_batch(data, 2, 6, seed=(1, step), source_images=9) for step in range(40)]
    labels = torch.cat([batch.source_labels for batch in drawn])
    assert set(labels.tolist()) == {class_id for task in data.train_tasks for class_id in task}
    assert set(labels.tolist()) < set(data.train.labels.tolist())
