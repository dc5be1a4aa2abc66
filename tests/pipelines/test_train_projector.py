"""What the projector's folder says of its training."""

from typing import Any

import pandas as pd
import pytest

from projpipe.pipelines.train_projector.nodes import _tuned_source


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.97, 0.9, 0.968], {"tuned_source": {"before": 0.97, "after": 0.968}}),
        ([None, None, None], {}),
    ],
    ids=["tuned", "frozen"],
)
def test_a_tuned_source_is_said_to_score_as_before_and_after(scores: list[float | None], said: dict[str, Any]) -> None:
    history = pd.DataFrame({"step": [0, 50, 100], "source_score": pd.array(scores, dtype="Float64")})
    assert _tuned_source(history.sample(frac=1, random_state=1), history.iloc[2]) == said
