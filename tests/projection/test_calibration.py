"""Students that are fitted to their source on some images of their task."""

import pytest
import torch

from projpipe.projection.calibration import calibrated_weights, ridge
from projpipe.projection.source import Source
from projpipe.transformer.canonical import Weights
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

TASK = [1, 5, 6]


def logits(spec: TransformerSpec, weights: Weights, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return forward_students(spec, {name: tensor[None] for name, tensor in weights.items()}, images[None])[0]


def test_a_student_as_large_as_its_source_says_what_its_source_says(source: Source, images: torch.Tensor) -> None:
    spec = source.spec
    made = calibrated_weights(source, spec, TASK, images)
    wanted = logits(source.spec, source.weights, images)[:, TASK]
    apart = (logits(spec, made, images) - wanted).square().mean() / wanted.var()
    assert apart < 1e-3  # the projection's noise on its units is left


def test_a_small_student_is_nearer_to_its_source_than_one_that_is_not_fitted(
    source: Source, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = source.spec.student(8, 1, 2, 2.0)
    wanted = logits(source.spec, source.weights, images)[:, TASK]

    def distance() -> float:
        found = logits(spec, calibrated_weights(source, spec, TASK, images), images)
        return (found - found.mean(0) - wanted + wanted.mean(0)).square().mean().item()

    fitted = distance()
    monkeypatch.setattr("projpipe.projection.calibration.RIDGE", 1e9)  # so strong that only biases are fitted
    assert fitted < 0.7 * distance()


def test_ridge_finds_a_map_and_stays_where_nothing_is_known() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs, weight, bias = (
        torch.randn(500, 6, generator=generator),
        torch.randn(3, 6, generator=generator),
        torch.ones(3),
    )
    inputs[:, 5] = 0.0
    start = torch.full((3, 6), 0.5)
    found, shift = ridge(inputs, inputs @ weight.T + bias, start)
    torch.testing.assert_close(found[:, :5], weight[:, :5], atol=0.05, rtol=0)
    assert torch.equal(found[:, 5], start[:, 5])
    torch.testing.assert_close(shift, bias, atol=0.05, rtol=0)
