"""Controls tell the projector anything but the right task."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from projpipe.methods.controls import CONTROLS, control_embeddings

TASKS = [(0, 1), (2, 3), (4, 5), (0, 5)]
SORTS = ["new", "new", "known", "known"]
TRAIN = [(0, 2), (1, 3), (4, 1), (5, 3)]


def embed(task) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(task), 6).sum(0).float()


def test_no_control_tells_a_task_its_own_embedding() -> None:
    for control in CONTROLS:
        told = control_embeddings(control, embed, TASKS, SORTS, TRAIN, seed=0)
        assert len(told) == len(TASKS)
        assert not any(torch.equal(found, embed(task)) for found, task in zip(told, TASKS, strict=True)), control


@given(st.integers(0, 1000))
def test_a_wrong_task_is_of_the_same_sort_and_size_and_shares_no_class(seed: int) -> None:
    tasks = [(0, 1), (0, 2), (2, 3), (3, 4, 5), (2, 3, 4, 5), (1, 2)]
    sorts = ["new", "new", "new", "new", "new", "known"]
    told = control_embeddings("shuffled", embed, tasks, sorts, TRAIN, seed)
    assert torch.equal(told[0], embed((2, 3)))
    assert torch.equal(told[2], embed((0, 1)))
    # None is as large as these without a common class: the nearest in size that shares least.
    assert torch.equal(told[3], embed((0, 1))) or torch.equal(told[3], embed((0, 2)))


def test_a_task_without_another_of_its_sort_is_told_a_train_task() -> None:
    _, told, _ = control_embeddings("shuffled", embed, [(0, 1), (0, 2), (2, 3)], ["new", "known", "new"], TRAIN, seed=0)
    assert any(torch.equal(told, embed(task)) for task in [(1, 3), (5, 3)])  # they share no class with it


def test_the_mean_is_that_of_the_train_tasks_and_random_ones_look_like_them() -> None:
    mean = torch.stack([embed(task) for task in TRAIN]).mean(0)
    for told in control_embeddings("mean", embed, TASKS, SORTS, TRAIN, seed=0):
        torch.testing.assert_close(told, mean)
    many = torch.stack(control_embeddings("random", embed, TASKS * 500, SORTS * 500, TRAIN, seed=0))
    torch.testing.assert_close(many.mean(0), mean, atol=0.05, rtol=0)


def test_with_one_train_task_random_ones_are_that_task() -> None:
    (told,) = control_embeddings("random", embed, TASKS[:1], SORTS[:1], TRAIN[:1], seed=0)
    torch.testing.assert_close(told, embed(TRAIN[0]))


def test_the_mean_and_the_deviation_count_train_tasks_by_their_weights() -> None:
    weights, counted = [1.0, 3.0, 1.0, 2.0], [TRAIN[0], *[TRAIN[1]] * 3, TRAIN[2], *[TRAIN[3]] * 2]
    (told,) = control_embeddings("mean", embed, TASKS[:1], SORTS[:1], TRAIN, 0, weights)
    torch.testing.assert_close(told, torch.stack([embed(task) for task in counted]).mean(0))
    many = torch.stack(control_embeddings("random", embed, TASKS * 500, SORTS * 500, TRAIN, 0, [1.0, 1e6, 1.0, 1.0]))
    torch.testing.assert_close(many.mean(0), embed(TRAIN[1]), atol=0.1, rtol=0)
