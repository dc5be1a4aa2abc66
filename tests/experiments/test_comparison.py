"""The trials of a comparison, run together."""

from pathlib import Path
from typing import Any

import pytest
import torch

from projpipe.config import Comparison
from projpipe.errors import InputError
from projpipe.experiments.comparison import best_shared_row, run_comparison, steps_done
from projpipe.experiments.plan import plan
from projpipe.experiments.trial import Trial, run_trial
from projpipe.metric import ACCURACY
from projpipe.training.run_inputs import RunInputs

SAMPLED = [[0, 2], [1, 5, 6]]
JUDGED = [*((task, "new_combination, random") for task in SAMPLED), ([7, 8], "new_class, random")]
CPU = torch.device("cpu")


def compared(*methods: dict[str, Any], **table: Any) -> Comparison:
    return Comparison(sampled_tasks=2, tables=[{"name": "small", "seeds": [0, 1], **table, "methods": list(methods)}])


def one_trial(method: str, settings: Any, controls: bool = False, **changes: Any) -> Trial:
    return Trial("small", method, method, settings(seeds=[1], **changes), 0.005, controls)


def test_a_trial_at_work_says_how_far_it_is(run_inputs: RunInputs, tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    trials = [one_trial("static", settings), one_trial("projected", settings)]
    assert steps_done(folder, trials) is None
    outcome = run_trial(folder, trials[0], JUDGED, SAMPLED, CPU)
    assert steps_done(folder, trials) == (12, "step 12/24  1 at work")
    (folder / trials[0].progress_file()).unlink()
    assert steps_done(folder, trials) is None
    trials[0].keep(folder, outcome)
    assert steps_done(folder, trials) == (12, "step 12/24  0 at work")


def test_a_student_smaller_than_pruning_can_make_the_teacher_is_refused_before_work_starts(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    student = {"embed_dim": 2, "depth": 1, "num_heads": 1}
    trials = plan(compared({"method": "pruned", "learning_rate": 0.1}, changes={"student": student}), settings())
    with pytest.raises(InputError, match=r"table 'small', row 'pruned': params: .*at least"):
        run_comparison(trials, run_inputs, JUDGED, SAMPLED, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_specialist_starts_from_the_shared_row_that_does_best_in_validation(
    run_inputs: RunInputs, tmp_path: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    again = {"method": "projected", "name": "again", "learning_rate": 0.02}
    rows = [
        {"method": "projected", "learning_rate": 0.02},
        {"method": "static", "learning_rate": 0.02},
        {"method": "static", "name": "untrained", "learning_rate": 1e-9},
    ]
    trials = plan(compared(*rows, {"method": "specialist", "learning_rate": 1e-12}, again, seeds=[0]), settings())
    projected, static, untrained, specialist, same = run_comparison(trials, run_inputs, JUDGED, SAMPLED, tmp_path)
    assert "0 of 3 trials are finished" in caplog.messages  # what two rows share is one
    assert same.scores == projected.scores
    assert static.history[-1].validation_score > untrained.history[-1].validation_score
    assert specialist.scores["method"] == static.scores["method"][: len(SAMPLED)]
    assert best_shared_row("small", trials[:3], [projected, static, untrained], ACCURACY) == "static"


def test_a_trial_that_fails_is_named_when_the_others_have_ended(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    trials = plan(compared({"method": "static", "learning_rate": 1e30}, {"method": "universal"}, seeds=[0]), settings())
    with pytest.raises(InputError, match=r"^compare_methods\..* row 'static', seed 0: the loss is"):
        run_comparison(trials, run_inputs, JUDGED, SAMPLED, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.json") if path.name != "inputs.json"] == [trials[1].file()]
