"""A short run is judged by the best that it came to."""

from pathlib import Path
from typing import Any

import torch

from projpipe.experiments.study import best_validation_score
from projpipe.training.run_inputs import RunInputs

CPU = torch.device("cpu")


def test_a_run_that_diverges_has_the_score_of_what_was_kept_before(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = str(tmp_path / run_inputs.stage(tmp_path, "sweep", {}))

    def score(learning_rate: float = 0.002, **changes: Any) -> float:
        given = settings(seeds=[0], **changes).model_dump(mode="json")
        return best_validation_score(folder, "projected", given, learning_rate, CPU)

    start = score(1e30)
    assert start == score(1e30, optimisation={"steps": 2})
    assert score(optimisation={"steps": 40}) > start
