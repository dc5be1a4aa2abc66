"""Parameters of the pipeline `train_projector`."""

import pytest
from pydantic import ValidationError

from projpipe.config import ConditioningConfig

ALL_OFF = {"units": True, "templates": 0, "rank": 0, "gates": False}


def test_a_projection_without_any_conditioning_is_refused_and_each_term_alone_is_enough() -> None:
    with pytest.raises(ValidationError, match="templates, rank and gates are all off, .* switch one on"):
        ConditioningConfig(**ALL_OFF, task_embed_dim=8)
    for term in ({"templates": 1}, {"rank": 1}, {"gates": True}):
        ConditioningConfig(**{**ALL_OFF, "task_embed_dim": 8, **term})
