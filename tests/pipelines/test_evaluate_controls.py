"""What the controls of an evaluation are told."""

from collections.abc import Sequence

import pandas as pd
import pytest
import torch

from projpipe.pipelines.evaluate import nodes

TRAIN = pd.DataFrame({"class_ids": [[0, 1, 2], [0, 3]], "kind": "train", "strategy": "random", "weight": 1.0})
STRATEGIES = {(0, 1): "group", (2, 3): "random", (4, 5): "group", (6, 7): "random", (8, 9): "explicit"}
KNOWN = pd.DataFrame(
    {"class_ids": list(map(list, STRATEGIES)), "kind": "new_combination", "strategy": list(STRATEGIES.values())}
)
NEW = pd.DataFrame({"class_ids": [[10, 11]], "kind": "new_class", "strategy": "random"})
JUDGED = pd.concat([KNOWN, NEW])


class Told:
    """A projector whose models are what it was told."""

    def embed(self, task: Sequence[int]) -> torch.Tensor:
        return torch.tensor([float(len(task)), float(sum(task))])

    def specialise(self, task: Sequence[int], told: torch.Tensor) -> torch.Tensor:
        return told


@pytest.mark.parametrize("seed", range(4))
def test_a_task_is_told_another_one_of_its_sort(seed: int) -> None:
    shuffled = nodes._told_otherwise("shuffled", Told(), JUDGED, TRAIN, seed)
    coherent = {float(sum(task)) for task, strategy in STRATEGIES.items() if strategy != "random"}
    for task, strategy in STRATEGIES.items():
        told = shuffled(task)[1].item()
        assert told != sum(task)
        assert (told in coherent) == (strategy != "random")
    assert torch.equal(shuffled([2, 3]), Told().embed([6, 7]))
    assert torch.equal(shuffled([6, 7]), Told().embed([2, 3]))


def test_the_only_task_of_its_sort_is_told_a_training_task() -> None:
    shuffled = nodes._told_otherwise("shuffled", Told(), JUDGED, TRAIN, seed=0)
    assert torch.equal(shuffled([10, 11]), Told().embed([0, 3]))  # of two that share no class, the one of its size


def test_the_mean_is_that_of_the_training_tasks() -> None:
    mean = nodes._told_otherwise("mean", Told(), JUDGED, TRAIN, seed=0)
    assert torch.equal(mean([10, 11]), torch.tensor([2.5, 3.0]))
    assert torch.equal(mean([0, 1]), torch.tensor([2.5, 3.0]))
