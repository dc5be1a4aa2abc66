"""Controls tell the projector anything but the right task."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from projpipe.methods.controls import CONTROLS, control_embeddings, derangement

TASKS = [(0, 1), (2, 3), (4, 5), (0, 5)]
SORTS = ["new", "new", "known", "known"]
TRAIN = [(0, 2), (1, 3), (4, 1), (5, 3)]


def embed(task) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(task), 6).sum(0).float()


@given(st.integers(2, 60), st.integers(0, 1000))
def test_a_derangement_is_a_permutation_that_leaves_nothing_in_its_place(count: int, seed: int) -> None:
    found = derangement(count, seed)
    assert sorted(found) == list(range(count))
    assert all(position != other for position, other in enumerate(found))


def test_no_control_tells_a_task_its_own_embedding() -> None:
    for control in CONTROLS:
        told = control_embeddings(control, embed, TASKS, SORTS, TRAIN, seed=0)
        assert len(told) == len(TASKS)
        assert not any(torch.equal(found, embed(task)) for found, task in zip(told, TASKS, strict=True)), control


@given(st.integers(0, 1000))
def test_shuffled_tasks_are_told_each_other_within_their_sort(seed: int) -> None:
    tasks, sorts = [*TASKS, (1, 5), (2, 5)], [*SORTS, "new", "known"]
    told = control_embeddings("shuffled", embed, tasks, sorts, TRAIN, seed)
    for sort in set(sorts):
        of_sort = [i for i in range(6) if sorts[i] == sort]
        found, own = ([vectors[i].tolist() for i in of_sort] for vectors in (told, list(map(embed, tasks))))
        assert sorted(found) == sorted(own)


def test_a_task_without_another_of_its_sort_is_told_a_train_task() -> None:
    _, told, _ = control_embeddings("shuffled", embed, [(0, 1), (0, 2), (2, 3)], ["new", "known", "new"], TRAIN, seed=0)
    assert torch.equal(told, embed((1, 3)))


def test_the_mean_is_that_of_the_train_tasks_and_random_ones_look_like_them() -> None:
    mean = torch.stack([embed(task) for task in TRAIN]).mean(0)
    assert all(torch.equal(told, mean) for told in control_embeddings("mean", embed, TASKS, SORTS, TRAIN, seed=0))
    many = torch.stack(control_embeddings("random", embed, TASKS * 500, SORTS * 500, TRAIN, seed=0))
    torch.testing.assert_close(many.mean(0), mean, atol=0.05, rtol=0)
