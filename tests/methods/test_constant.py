"""A projector that is told nothing of its task has the parameters of one that is, and makes one body for all."""

from typing import Any

import pytest
import torch

from makers import shaken, task_model
from projpipe.projection.source import Source

TASKS, MASK = torch.tensor([[0, 1], [8, 9]]), torch.ones(2, 2, dtype=torch.bool)


@pytest.mark.parametrize("terms", [{}, {"experts": 0}, {"film": False}])
def test_no_task_changes_its_bodies(terms: dict[str, Any], source: Source, settings: Any) -> None:
    given = settings(conditioning=terms)
    constant, projected = (shaken(task_model(name, source, given)) for name in ("constant", "projected"))
    assert constant.generator.embed(TASKS, MASK).shape == projected.generator.embed(TASKS, MASK).shape
    for model, differs in ((constant, False), (projected, True)):
        first, second = model.generator(TASKS, MASK)["fc1.weight"]
        assert bool((first - second).abs().max() > 1e-4) == differs


def test_it_learns_by_the_same_experts_and_film(source: Source, images: torch.Tensor, settings: Any) -> None:
    model = task_model("constant", source, settings())
    learns = {"film": model.generator.film.weight, "experts": model.generator.experts["fc1_weight"]}
    other = task_model("projected", source, settings()).generator
    assert learns["film"].shape == other.film.weight.shape
    assert learns["experts"].shape == other.experts["fc1_weight"].shape
    (logits,), _ = model(images.view(2, 16, 1, 8, 8), TASKS, MASK)
    logits[..., 0].sum().backward()
    assert all(weight.grad.abs().max() > 0 for weight in learns.values())


def test_it_starts_where_the_projector_starts(source: Source, images: torch.Tensor, settings: Any) -> None:
    students = (task_model(name, source, settings()).eval().specialise([2, 5]) for name in ("constant", "projected"))
    one, other = (student(images) for student in students)
    torch.testing.assert_close(one, other)
