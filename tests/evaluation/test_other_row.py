"""A learned row tells what is none of a task's classes, noise among it, where the logits alone do not."""

import pytest
import torch

from projpipe.evaluation.other_row import OfTask, Seen, fit_other_row, kept, threshold_of

WIDTH = 5


def seen(count: int, seed: int, shift: float = 0.0, energy: float = 0.0) -> Seen:
    """Features whose third is off by `shift`, and energies around `energy`."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, WIDTH, generator=generator)
    features[:, 2] += shift
    return Seen(energy + torch.randn(count, generator=generator), features)


NOTHING = Seen(torch.zeros(0), torch.zeros(0, WIDTH))


def tasks(others: bool = True) -> list[OfTask]:
    """Of other classes the energy is lower; noise has that of the task's own images, but another feature."""
    return [
        OfTask(
            own=seen(200, 3 * number, energy=4.0),
            others=seen(200, 3 * number + 1, energy=0.0) if others else NOTHING,
            noise=seen(100, 3 * number + 2, shift=6.0, energy=4.0),
        )
        for number in range(4)
    ]


def test_the_row_reads_what_the_energy_does_not_say() -> None:
    row = fit_other_row(tasks())
    assert row.shape == (WIDTH,)
    assert row.abs().argmax() == 2
    assert row[2] > 0
    threshold, unseen = threshold_of(tasks(), row), seen(100, 50, shift=6.0, energy=4.0)
    noise_kept = kept([unseen], row, threshold)
    assert noise_kept is not None
    assert noise_kept < 0.05
    assert kept([unseen], torch.zeros(WIDTH), threshold_of(tasks(), torch.zeros(WIDTH))) == pytest.approx(
        0.95, abs=0.05
    )
    assert kept([task.own for task in tasks()], row, threshold) == pytest.approx(0.95, abs=0.02)
    of_others = kept([task.others for task in tasks()], row, threshold)
    assert of_others is not None
    assert of_others < 0.2


def test_tasks_of_all_classes_have_no_others() -> None:
    row = fit_other_row(tasks(others=False))
    assert row[2] > 0
    assert kept([task.others for task in tasks(others=False)], row, 0.0) is None


def test_a_threshold_is_the_mean_over_tasks_however_many_images_they_have() -> None:
    few = OfTask(seen(20, 1, energy=10.0), NOTHING, NOTHING)
    many = OfTask(seen(2000, 2, energy=0.0), NOTHING, NOTHING)
    nothing = torch.zeros(WIDTH)
    of_each = [threshold_of([task], nothing) for task in (few, many)]
    assert threshold_of([few, many], nothing) == pytest.approx(sum(of_each) / 2, abs=1e-3)


def test_where_a_high_energy_speaks_against_the_classes_there_is_no_row() -> None:
    wrong = [OfTask(task.others, task.own, NOTHING) for task in tasks()]
    assert not fit_other_row(wrong).any()
