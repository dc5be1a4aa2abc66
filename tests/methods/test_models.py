"""Methods built from one configuration, and restored from their tensors alone."""

from typing import Any

import pytest
import torch

from makers import shaken, task_model
from projpipe.errors import InputError
from projpipe.methods.models import restore
from projpipe.methods.registry import main_methods
from projpipe.methods.task_model import TaskModel
from projpipe.projection.source import Source

each_method = pytest.mark.parametrize("method", main_methods())
Settings = Any  # the fixture `settings`: a miniature TrainProjectorConfig with what is changed in it


def stored(model: TaskModel, seed: int) -> dict[str, torch.Tensor]:
    return {f"{seed}.{name}": tensor for name, tensor in model.state_dict().items()}


@each_method
def test_a_method_comes_back_from_the_tensors_of_its_seed(
    method: str, source: Source, images: torch.Tensor, settings: Settings
) -> None:
    config = settings()
    models = {seed: shaken(task_model(method, source, config, seed)) for seed in (1, 11)}
    tensors = {**stored(models[1], 1), **stored(models[11], 11)}
    for seed, model in models.items():
        again = restore(method, tensors, seed, source, config)
        assert not again.training
        assert torch.equal(again.specialise([4, 7])(images), model.specialise([4, 7])(images))


@each_method
@pytest.mark.parametrize(
    ("changes", "seed", "problem"),
    [
        ({}, 5, r"it lacks generator\..+ more"),
        ({"student": {"embed_dim": 14}}, 1, r"generator\.\S+ is \[.+\] there and \[.+\] in the model"),
        ({"student": {"depth": 1}}, 1, r"(it lacks|the model has no place for) generator\..+|generator\..+"),
    ],
)
def test_tensors_of_another_run_are_refused(
    method: str, changes: dict[str, Any], seed: int, problem: str, source: Source, settings: Settings
) -> None:
    tensors, other = stored(task_model(method, source, settings()), 1), settings(**changes)
    message = rf"{method}_models, seed {seed}: {problem}; it was trained .* Run `kedro run --pipelines train_projector`"
    with pytest.raises(InputError, match=message):
        restore(method, tensors, seed, source, other)


def test_tensors_of_another_method_are_refused(source: Source, settings: Settings) -> None:
    config = settings()
    static = stored(task_model("static", source, config), 0)
    with pytest.raises(InputError, match=r"projected_models, seed 0: it lacks generator\.\S+"):
        restore("projected", static, 0, source, config)


@each_method
def test_a_student_as_large_as_its_teacher_is_refused(method: str, source: Source, settings: Settings) -> None:
    large = settings(student={"embed_dim": 24, "depth": 4, "num_heads": 3, "mlp_ratio": 2.0})
    with pytest.raises(InputError, match="make the student smaller"):
        task_model(method, source, large)


@pytest.mark.parametrize(
    ("factors", "free_weights", "mapped"), [(0.0, True, True), (1.0, True, False), (0.0, False, False)]
)
def test_a_map_of_class_features_comes_with_free_weights_where_factors_stay(
    factors: float, free_weights: bool, mapped: bool, source: Source, settings: Any
) -> None:
    config = settings(rate_shares={"factors": factors}, free_weights=free_weights)
    for method in ("projected", "static"):
        assert (task_model(method, source, config).projector.class_map is not None) == mapped


@each_method
def test_what_sizes_have_of_their_own_learns_at_the_methods_rate(
    method: str, source: Source, settings: Settings
) -> None:
    smallest = {"embed_dim": 6, "depth": 1, "num_heads": 1, "mlp_ratio": 1.0}
    model = task_model(method, source, settings(smallest=smallest, rate_shares={"offsets": 5.0}))
    assert model.of_sizes is not None
    assert {group.rate for group in model.of_sizes.parameter_groups()} == {1.0}
