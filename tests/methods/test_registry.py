"""A new method is one file, and one line in the registry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pandera.errors import SchemaError
from torch import Tensor, nn

from projpipe import schemas
from projpipe.config import Comparison
from projpipe.errors import InputError
from projpipe.evaluation.comparison_tables import comparison_history
from projpipe.experiments.plan import plan
from projpipe.experiments.trial import run_trial
from projpipe.methods import registry
from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.model_init import random_init
from projpipe.methods.models import build
from projpipe.projection.parameter_groups import ParameterGroup, matrices_decay
from projpipe.reporting.style import curve_styles, title_of
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.canonical import Weights, canonical_name, module_key

SAMPLED = [[0, 2], [1, 5, 6]]
JUDGED = [(task, "new_combination, random") for task in SAMPLED]


class OneBody(nn.Module):
    """A small model that is not told its task: a classifier of all classes, cut to those of the task."""

    def __init__(self, given: Ingredients) -> None:
        super().__init__()
        self.spec = given.student
        generator = torch.Generator().manual_seed(given.seed)
        init = random_init(self.spec, generator)
        init["head.weight"] = torch.zeros(given.source.num_classes, self.spec.embed_dim)
        init["head.bias"] = torch.zeros(given.source.num_classes)
        self.weights = nn.ParameterDict({module_key(name): nn.Parameter(tensor) for name, tensor in init.items()})

    def parameter_groups(self) -> list[ParameterGroup]:
        return matrices_decay(self.named_parameters())

    def forward(self, classes: Tensor, mask: Tensor, keep_rows: Tensor | None = None) -> Weights:
        weights = {canonical_name(key): tensor[None] for key, tensor in self.weights.items()}
        rows = {name: weights[name][0][classes] for name in ("head.weight", "head.bias")}
        rows["head.bias"] = rows["head.bias"].masked_fill(~mask, -1e9)
        return weights | rows


TOY = Method(name="one_body", style=Style("One body", "#f0e442", "hexagon", "2px,8px"), build=OneBody)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a method that is registered for one test."""
    monkeypatch.setitem(registry.METHODS, TOY.name, TOY)
    return TOY.name


def compared(method: str) -> Comparison:
    table = {"name": "small", "seeds": [0], "methods": [{"method": method, "learning_rate": 0.01}]}
    return Comparison(sampled_tasks=2, tables=[table])


def test_a_method_that_is_registered_is_planned_trained_judged_weighed_tabulated_and_drawn(
    toy: str, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    (trial,) = plan(compared(toy), settings())
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    outcome = run_trial(folder, trial, JUDGED, SAMPLED, torch.device("cpu"))
    assert [row.step for row in outcome.history] == [0, 6, 12]
    assert [len(scores) for scores in outcome.scores.values()] == [len(JUDGED)]
    assert outcome.flops_per_step > 0
    history = schemas.COMPARISON_HISTORY.validate(comparison_history([trial], [outcome]))
    assert curve_styles(history)[toy] == TOY.style
    assert title_of(toy) == "One body"


def test_a_method_that_is_not_registered_is_refused_by_parameters_and_tables(settings: Any) -> None:
    with pytest.raises(InputError, match="row 'statik': 'statik' is not a method; did you mean 'static'"):
        plan(compared("statik"), settings())
    row = {"table": "small", "name": "a", "method": "statik", "seed": 0, "step": 0, "validation_score": 0.5}
    with pytest.raises(SchemaError, match="a registered method"):
        schemas.COMPARISON_HISTORY.validate(pd.DataFrame([row]))


@pytest.mark.parametrize("method", registry.METHODS)
@pytest.mark.parametrize("source_is", ["frozen", "tuned"])
@pytest.mark.parametrize("factors", [0.0, 1.0])
def test_every_parameter_that_learns_does_so_in_one_way(
    method: str, source_is: str, factors: float, run_inputs: RunInputs, settings: Any
) -> None:
    def examples(task: Any, per_class: int) -> tuple[Tensor, Tensor]:
        return torch.randn(2 * len(task), 1, 8, 8), torch.arange(len(task)).repeat(2)

    given = Ingredients(
        run_inputs.source,
        settings(source=source_is, rate_shares={"factors": factors, "offsets": 1.0}),
        0,
        SAMPLED,
        examples,
    )
    model = build(method, replace(given, shared=build("static", given).generator))
    names = {parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert factors or not any("factors" in name for name in names.values())
    grouped = [names[parameter] for group in model.parameter_groups() for parameter in group.parameters]
    assert sorted(grouped) == sorted(names.values())
    decaying = {names[p] for group in model.parameter_groups() if group.decays for p in group.parameters}
    assert decaying == {name for name in grouped if name.endswith("weight") and "encoder" not in name}


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"projected": 0.1, "static": 0.1}, r"learning_rates: there is none for universal; give it one"),
        (
            {"projected": 0.1, "static": 0.1, "univresal": 0.1},
            r"learning_rates: 'univresal' is not a method; did you mean 'universal'",
        ),
    ],
)
def test_learning_rates_are_one_for_each_method_that_every_run_trains(
    rates: dict[str, float], message: str, settings: Any
) -> None:
    registry.check_rates_and_schedules(settings())
    with pytest.raises(InputError, match=message):
        registry.check_rates_and_schedules(settings().model_copy(update={"learning_rates": rates}))


def test_a_schedule_of_no_method_is_refused(settings: Any) -> None:
    with pytest.raises(InputError, match=r"train_projector\.schedules: 'projcted' is not a method; did you mean"):
        registry.check_rates_and_schedules(settings(schedules={"projcted": {"ema_decay": 0.5}}))
