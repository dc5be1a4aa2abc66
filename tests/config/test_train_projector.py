"""Parameters of the pipeline `train_projector`."""

from typing import Any

import pytest
from pydantic import ValidationError

from projpipe.config import ConditioningConfig, TrainProjectorConfig

ALL_OFF = {"experts": 0, "film": False}


def test_a_projection_without_any_conditioning_is_refused_and_each_term_alone_is_enough() -> None:
    with pytest.raises(ValidationError, match="experts and film are both off: .* switch one on"):
        ConditioningConfig(**ALL_OFF, task_embed_dim=8)
    for term in ({"experts": 1}, {"film": True}):
        ConditioningConfig(**{**ALL_OFF, "task_embed_dim": 8, **term})


def test_rates_that_are_to_be_found_are_none_and_written_as_auto(settings: Any) -> None:
    found_later = settings(learning_rates="auto")
    assert (found_later.learning_rates, found_later.known_rates) == (None, {})
    assert found_later.model_dump(mode="json")["learning_rates"] == "auto"
    assert TrainProjectorConfig(**found_later.model_dump()) == found_later


@pytest.mark.parametrize("given", [None, "aut"])
def test_what_is_neither_rates_nor_auto_is_refused(given: object, settings: Any) -> None:
    with pytest.raises(ValidationError, match="give auto, or a rate for each method"):
        settings(learning_rates=given)
