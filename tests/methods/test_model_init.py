"""Initial weights of models of their own: random, or an evenly spaced part of the teacher's."""

from typing import Any

import pytest
import torch

from makers import task_model
from projpipe.methods.model_init import principal_init, random_init, selected_init
from projpipe.objectives import ImageModeling
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
def test_a_selection_holds_the_sources_own_numbers_rescaled_and_makes_a_model(
    heads: int, source: Source, images: torch.Tensor
) -> None:
    spec = source.spec.student(12, 2, heads, 1.5)
    weights = selected_init(source, spec)
    own, half = source.weights, 2**0.5  # half of the entries are read
    hidden = torch.arange(18) * 48 // 18
    torch.testing.assert_close(weights["head.weight"], own["head.weight"][:, ::2] * half)
    torch.testing.assert_close(weights["fc1.weight"], own["fc1.weight"][:2, hidden][..., ::2] * half)
    assert torch.equal(weights["fc1.bias"], own["fc1.bias"][:2, hidden])
    assert torch.equal(weights["patch.weight"], own["patch.weight"][::2])
    sharpness = (source.spec.head_dim / spec.head_dim) ** 0.25
    torch.testing.assert_close(weights["q.weight"][:, 0], own["q.weight"][:2, 0, ::2] * half * sharpness)
    assert export_student(spec, weights)(images).shape == (32, 10)


def test_the_principal_init_is_what_the_untrained_static_projection_makes(
    source: Source, images: torch.Tensor, settings: Any
) -> None:
    config = settings()
    spec = source.spec.student(**config.student.model_dump())
    projected = task_model("static", source, config).eval().specialise([2, 7, 4])
    weights = principal_init(source, spec)
    rows = {name: weights[name][[2, 7, 4]] for name in ("head.weight", "head.bias")}
    torch.testing.assert_close(export_student(spec, weights | rows)(images), projected(images), atol=1e-5, rtol=1e-4)


def test_the_principal_init_of_a_decoder_has_an_embedding_of_every_class(
    decoder_source: Source, modeling: ImageModeling, all_images: torch.Tensor, settings: Any
) -> None:
    config = settings(student={"embed_dim": 6, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0})
    spec = decoder_source.spec.student(**config.student.model_dump())
    weights = principal_init(decoder_source, spec)
    of_task = weights.pop("condition.weight")[[1, 3]].mean(0)
    told = export_student(spec, weights | {"patch.bias": weights["patch.bias"] + of_task})
    static = task_model("static", decoder_source, config).eval().specialise([1, 3])
    expected = modeling.logits(static, all_images)
    torch.testing.assert_close(modeling.logits(told, all_images), expected, atol=1e-5, rtol=1e-4)
