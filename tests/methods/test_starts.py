"""Where models of their own start: at random, or as an evenly spaced part of the teacher."""

import pytest
import torch

from projpipe.methods.starts import random_start, selected_start
from projpipe.projection.source import Source
from projpipe.transformer.export import export_student


def test_a_random_start_is_fixed_by_its_generator(source: Source) -> None:
    spec = source.spec.student(12, 2, 2, 1.5)
    one, same, other = (random_start(spec, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["fc1.weight"], other["fc1.weight"])


def test_selecting_everything_gives_the_source(source: Source) -> None:
    for name, tensor in selected_start(source, source.spec).items():
        assert torch.equal(tensor, source.weights[name]), name


@pytest.mark.parametrize("heads", [1, 3])
def test_a_selection_holds_the_sources_own_numbers_and_makes_a_model(
    heads: int, source: Source, images: torch.Tensor
) -> None:
    spec = source.spec.student(12, 2, heads, 1.5)
    weights = selected_start(source, spec)
    assert torch.equal(weights["head.weight"], source.weights["head.weight"][:, ::2])
    assert torch.equal(weights["fc1.weight"], source.weights["fc1.weight"][:2, torch.arange(18) * 48 // 18][..., ::2])
    assert export_student(spec, weights)(images).shape == (32, 10)
