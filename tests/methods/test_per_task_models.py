"""Models that share nothing, trained side by side."""

import pytest
import torch

from projpipe.errors import InputError
from projpipe.methods.per_task_models import PerTaskModels, random_inits, stacked
from projpipe.projection.source import Source

TASKS = [[0, 1], [2, 3, 4]]


@pytest.fixture
def models(source: Source) -> PerTaskModels:
    spec = source.spec.student(12, 2, 2, 1.5)
    return PerTaskModels(spec, TASKS, random_inits(spec, TASKS, seed=0))


def test_each_task_gets_the_weights_of_its_own_model_in_any_order(models: PerTaskModels) -> None:
    classes, mask = torch.tensor([[2, 3, 4], [0, 1, 0]]), torch.tensor([[True] * 3, [True, True, False]])
    weights = models(classes, mask)
    assert torch.equal(weights["fc1.weight"], models.weights["fc1_weight"].flip(0))
    alone = models(classes[1:, :2], mask[1:, :2])
    assert alone["head.weight"].shape == (1, 2, 12)
    assert torch.equal(alone["head.weight"][0], weights["head.weight"][1, :2])


def test_a_task_without_a_model_is_refused(models: PerTaskModels) -> None:
    with pytest.raises(InputError, match=r"no model for the task \[0, 2\]; ask for one of \[\[0, 1\], \[2, 3, 4\]\]"):
        models(torch.tensor([[0, 2]]), torch.ones(1, 2, dtype=torch.bool))


def test_a_step_on_one_task_leaves_the_models_of_others_alone(models: PerTaskModels) -> None:
    before = models.weights["fc1_weight"].detach().clone()
    models(torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))["fc1.weight"].sum().backward()
    torch.optim.SGD(models.parameters(), lr=0.1).step()
    changed = (models.weights["fc1_weight"] - before).abs().amax((1, 2, 3))
    assert changed[0] > 0
    assert changed[1] == 0


def test_classifiers_of_different_sizes_are_filled_up(models: PerTaskModels) -> None:
    parts = [{"head.weight": torch.ones(k, 4), "head.bias": torch.ones(k), "prefix": torch.ones(1, 4)} for k in (2, 3)]
    both = stacked(parts)
    assert both["head.weight"].sum((1, 2)).tolist() == [8, 12]
    assert both["head.bias"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert both["prefix"].shape == (2, 1, 4)
