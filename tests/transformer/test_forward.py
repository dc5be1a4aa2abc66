"""The forward pass of many students computes what the exported timm models compute, each with its own weights."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from makers import CLASSIFIER
from projpipe.transformer.canonical import Weights
from projpipe.transformer.decoder import decoder_images, run_decoder
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

TASKS, BATCH, CLASSES = 2, 5, 4
DECODER = replace(CLASSIFIER, image_size=(2, 3), patch_size=1, in_chans=4, class_token=False, pool="", symbols=3)
AVERAGE = {"class_token": False, "pool": "avg"}
VARIANTS = {
    "class token": CLASSIFIER,
    "normalised after the average": replace(CLASSIFIER, **AVERAGE, norm_after_pool=True),
    "normalised before the average": replace(CLASSIFIER, **AVERAGE),
    "average beside a class token": replace(CLASSIFIER, pool="avg", norm_after_pool=True),
    "registers": replace(CLASSIFIER, reg_tokens=2),
    "average beside registers": replace(CLASSIFIER, **AVERAGE, reg_tokens=2),
    "pre_norm": replace(CLASSIFIER, pre_norm=True),
    "quick_gelu": replace(CLASSIFIER, activation="quick_gelu"),
    "gelu_tanh": replace(CLASSIFIER, activation="gelu_tanh"),
    "decoder": DECODER,
    "decoder with registers and pre_norm": replace(DECODER, reg_tokens=2, pre_norm=True),
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def spec(request: pytest.FixtureRequest) -> TransformerSpec:
    return request.param


def draw_weights(spec: TransformerSpec, tasks: int = TASKS) -> Weights:
    """Canonical weights of so many students, with every term at work."""
    generator = torch.Generator().manual_seed(0)
    shapes = spec.weight_shapes(CLASSES)
    return {name: torch.randn(tasks, *shape, generator=generator) * 0.4 for name, shape in shapes.items()}


def draw_images(spec: TransformerSpec) -> Tensor:
    """Different images for every task: `[T, B, C, H, W]`, or symbols `[T, B, 1, H, W]`."""
    generator = torch.Generator().manual_seed(1)
    if spec.symbols:
        return torch.randint(spec.symbols, (TASKS, BATCH, 1, *spec.image_size), generator=generator)
    return torch.randn(TASKS, BATCH, spec.in_chans, *spec.image_size, generator=generator)


@torch.no_grad()
def run_timm(spec: TransformerSpec, weights: Weights, images: Tensor) -> Tensor:
    """What the exported timm model of one student says about its images `[B, ...]`."""
    model = export_student(spec, weights)
    if not spec.symbols:
        return model(images)
    return run_decoder(model, decoder_images(images, spec.symbols, 0, torch.full((len(images),), -1)))


def assert_each_is_its_timm_model(spec: TransformerSpec, weights: Weights) -> None:
    images = draw_images(spec)
    together = forward_students(spec, weights, images)
    for task in range(TASKS):
        own = {name: tensor[task] for name, tensor in weights.items()}
        torch.testing.assert_close(together[task], run_timm(spec, own, images[task]), atol=1e-5, rtol=1e-5)


def test_each_of_many_students_computes_what_its_timm_model_computes(spec: TransformerSpec) -> None:
    assert_each_is_its_timm_model(spec, draw_weights(spec))


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_a_prefix_token_beyond_those_of_the_spec_is_a_register(pool: str) -> None:
    spec = replace(CLASSIFIER, pool=pool)
    weights = draw_weights(spec)
    weights["prefix"] = torch.cat([weights["prefix"], torch.randn(TASKS, 1, spec.embed_dim)], dim=1)
    assert_each_is_its_timm_model(spec, weights)


def test_weights_that_all_tasks_share_act_as_a_copy_for_each(spec: TransformerSpec) -> None:
    images, shared = draw_images(spec), draw_weights(spec, tasks=1)
    copies = {name: tensor.expand(TASKS, *tensor.shape[1:]) for name, tensor in shared.items()}
    expected = forward_students(spec, copies, images)
    torch.testing.assert_close(forward_students(spec, shared, images), expected, atol=1e-5, rtol=1e-5)


def test_shared_weights_stand_beside_those_that_each_task_has_for_itself(spec: TransformerSpec) -> None:
    images, weights = draw_images(spec), draw_weights(spec)
    for name in weights.keys() - {"v.weight", "v.bias", "head.weight", "head.bias"}:
        weights[name] = weights[name][:1]
    copies = {name: tensor.expand(TASKS, *tensor.shape[1:]) for name, tensor in weights.items()}
    expected = forward_students(spec, copies, images)
    torch.testing.assert_close(forward_students(spec, weights, images), expected, atol=1e-5, rtol=1e-5)
