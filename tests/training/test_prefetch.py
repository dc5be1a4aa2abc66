"""What is prefetched is what would have been read here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from projpipe.errors import InputError
from projpipe.objectives.batch import Batch
from projpipe.training.batches import StepBatches, TrainingData, draw_batch
from projpipe.training.prefetch import prefetch
from projpipe.training.run_inputs import RunInputs, load_staged


@pytest.fixture
def data(run_inputs: RunInputs, tmp_path: Path) -> TrainingData:
    return load_staged(tmp_path / run_inputs.stage(tmp_path, "projected", {}))[0]


def assert_same(one: Batch, other: Batch) -> None:
    assert vars(one).keys() == vars(other).keys()
    for name, tensor in vars(one).items():
        assert torch.equal(tensor, getattr(other, name)), name


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("rank", [0, 1])
def test_the_batches_of_a_worker_from_any_step_on_are_its_share_of_those_of_the_run(
    workers: int, rank: int, data: TrainingData, settings: Any
) -> None:
    schedule, share = settings().optimisation, slice(rank, None, 2)
    data = replace(data, train_weights=[1.0, 5.0, 2.0])
    batches = StepBatches(data, schedule, 7, share, 5)
    steps = range(3, 8)  # as if the run had been stopped after three
    for step, batch in zip(steps, prefetch(batches, steps, workers), strict=True):
        expected = draw_batch(data, 2, 8, (7, step), share, source_images=5)
        assert_same(batch, expected)


class Broken(Dataset[int]):
    def __getitem__(self, position: int) -> int:
        if position == 2:
            raise InputError("picture.jpg: cannot be read")
        return position


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_said_in_the_words_of_who_found_it(workers: int) -> None:
    items = prefetch(Broken(), [0, 1, 2, 3], workers)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(InputError, match=r"^picture\.jpg: cannot be read$"):
        next(items)


def test_reading_ahead_draws_no_random_numbers_of_this_process() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(prefetch(Broken(), [0, 1], 1))
    assert torch.equal(torch.rand(1), expected)
