"""Initial weights of models of their own: random, or an evenly spaced part of the teacher's."""

import pytest
import torch

from projpipe.methods.model_init import random_init, selected_init
from projpipe.projection.source import Source
from projpipe.transformer.export import export_student


def test_a_random_init_is_fixed_by_its_generator(source: Source) -> None:
    spec = source.spec.student(12, 2, 2, 1.5)
    one, same, other = (random_init(spec, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["fc1.weight"], other["fc1.weight"])


def test_selecting_everything_gives_the_source(source: Source) -> None:
    for name, tensor in selected_init(source, source.spec).items():
        assert torch.equal(tensor, source.weights[name]), name


@pytest.mark.parametrize("heads", [1, 3])
def test_a_selection_holds_the_sources_own_numbers_and_makes_a_model(
    heads: int, source: Source, images: torch.Tensor
) -> None:
    spec = source.spec.student(12, 2, heads, 1.5)
    weights = selected_init(source, spec)
    assert torch.equal(weights["head.weight"], source.weights["head.weight"][:, ::2])
    assert torch.equal(weights["fc1.weight"], source.weights["fc1.weight"][:2, torch.arange(18) * 48 // 18][..., ::2])
    assert export_student(spec, weights)(images).shape == (32, 10)
