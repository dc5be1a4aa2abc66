"""The methods under comparison: built from one configuration, restored from their tensors alone."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from projpipe.config import ConditioningConfig, TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.methods.task_model import TaskModel, build, restore
from projpipe.projection.source import Source
from projpipe.transformer.class_weights import MASKED

METHODS = ["projected", "static", "universal"]
ALL_OFF = {"units": True, "templates": 0, "rank": 0, "gates": False}
each_method = pytest.mark.parametrize("method", METHODS)
Settings = Any  # the fixture `settings`: a miniature TrainProjectorConfig with what is changed in it


def build_as(method: str, source: Source, config: TrainProjectorConfig, seed: int = 0) -> TaskModel:
    return build(method, source, config, seed)


def shaken(model: TaskModel) -> TaskModel:
    """Move every parameter off its start, so that each term of the conditioning is at work."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model.eval()


def stored(model: TaskModel, seed: int) -> dict[str, torch.Tensor]:
    return {f"{seed}.{name}": tensor for name, tensor in model.state_dict().items()}


@each_method
def test_the_student_of_one_task_computes_what_the_batch_of_all_tasks_did(
    method: str, source: Source, images: torch.Tensor, settings: Settings
) -> None:
    model = shaken(build_as(method, source, settings()))
    tasks = [[9, 2, 5], [3, 0]]
    classes, mask = torch.tensor([[9, 2, 5], [3, 0, 0]]), torch.tensor([[True] * 3, [True, True, False]])
    batches = images.view(2, 16, 1, 8, 8)
    with torch.no_grad():
        together, _ = model(batches, classes, mask)
        assert (together[1, :, 2] == MASKED).all()
        for task, logits, batch in zip(tasks, together, batches, strict=True):
            student = model.specialise(task)
            assert student.num_classes == len(task)
            torch.testing.assert_close(student(batch), logits[:, : len(task)], atol=1e-5, rtol=0)


def test_static_makes_one_body_for_all_tasks_and_the_other_methods_one_for_each(
    source: Source, settings: Settings
) -> None:
    classes, mask = torch.tensor([[0, 1], [8, 9]]), torch.ones(2, 2, dtype=torch.bool)
    for method in METHODS:
        body = shaken(build_as(method, source, settings())).generator(classes, mask)["fc1.weight"]
        assert len(body) == (1 if method == "static" else 2)
        assert bool((body[0] - body[-1]).abs().max() > 1e-4) == (method != "static")


@each_method
def test_a_method_comes_back_from_the_tensors_of_its_seed(
    method: str, source: Source, images: torch.Tensor, settings: Settings
) -> None:
    config = settings()
    models = {seed: shaken(build_as(method, source, config, seed)) for seed in (1, 11)}
    tensors = {**stored(models[1], 1), **stored(models[11], 11)}
    for seed, model in models.items():
        again = restore(method, tensors, seed, source, config)
        assert not again.training
        assert torch.equal(again.specialise([4, 7])(images), model.specialise([4, 7])(images))


@each_method
@pytest.mark.parametrize(
    ("changes", "seed", "problem"),
    [
        ({}, 5, "no tensors"),
        ({"student": {"embed_dim": 14}}, 1, r"tensor generator\.\S+ does not fit the student"),
        ({"student": {"depth": 1}}, 1, r"tensor generator\.\S+ does not fit the student"),
    ],
)
def test_tensors_of_another_run_are_refused(
    method: str, changes: dict[str, Any], seed: int, problem: str, source: Source, settings: Settings
) -> None:
    tensors, other = stored(build_as(method, source, settings()), 1), settings(**changes)
    message = rf"{method}_models, seed {seed}: {problem}; it was trained .* Run `kedro run --pipelines train_projector`"
    with pytest.raises(InputError, match=message):
        restore(method, tensors, seed, source, other)


def test_tensors_of_another_method_are_refused(source: Source, settings: Settings) -> None:
    config = settings()
    static = stored(build_as("static", source, config), 0)
    with pytest.raises(InputError, match=r"projected_models, seed 0: tensor generator\.\S+ does not fit"):
        restore("projected", static, 0, source, config)


def test_a_projection_without_any_conditioning_is_refused_and_each_term_alone_is_enough() -> None:
    with pytest.raises(ValidationError, match="templates, rank and gates are all off, .* switch one on"):
        ConditioningConfig(**ALL_OFF, task_embed_dim=8)
    for term in ({"templates": 1}, {"rank": 1}, {"gates": True}):
        ConditioningConfig(**{**ALL_OFF, "task_embed_dim": 8, **term})


@each_method
def test_a_student_as_large_as_its_teacher_is_refused(method: str, source: Source, settings: Settings) -> None:
    large = settings(student={"embed_dim": 24, "depth": 4, "num_heads": 3, "mlp_ratio": 2.0})
    with pytest.raises(InputError, match="make the student smaller"):
        build_as(method, source, large)
