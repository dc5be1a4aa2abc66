"""A run that is stopped and resumed ends where it would have ended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers import task_model, train_in_process
from projpipe.methods.per_task_models import PerTaskModels, random_inits
from projpipe.methods.task_model import TaskModel
from projpipe.record import from_json, to_json
from projpipe.tensors import starting_with
from projpipe.training.checkpoint import read_checkpoint, write_checkpoint
from projpipe.training.history import HistoryRow
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.seeds import Worker, train_seeds
from projpipe.training.state import Checkpoint, TrainingState
from projpipe.training.student_trainer import StudentTrainer, task_scores


def through_a_file(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    folder.mkdir()
    write_checkpoint(folder, "run", to_json(checkpoint.state), checkpoint.tensors)
    state, tensors = read_checkpoint(folder, "run")
    return Checkpoint(from_json(TrainingState, state), tensors)


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.state == expected.state
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in found.tensors.items())


@pytest.mark.parametrize("method", ["projected", "static", "universal", "universal_selected"])
def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_never_stopped(
    method: str, run_inputs: RunInputs, tmp_path: Path
) -> None:
    whole = train_in_process(run_inputs, tmp_path, method)
    reached = [(checkpoint.state.position, checkpoint.state.step) for checkpoint in whole]
    assert reached == [(0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0)]
    resumed = train_in_process(run_inputs, tmp_path, method, through_a_file(whole[3], tmp_path / "checkpoint"))
    assert len(resumed) == 2
    assert_same(resumed[-1], whole[-1])


def test_a_run_that_reads_ahead_ends_bit_for_bit_like_one_that_does_not(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    whole = train_in_process(run_inputs, tmp_path, "projected")
    prefetching = replace(run_inputs, config=settings(ray={"loading_workers": 2}))
    _, resumed = train_in_process(prefetching, tmp_path, "projected", whole[3])
    assert_same(resumed, whole[-1])


def test_a_projector_whose_factors_stay_is_resumed_too(run_inputs: RunInputs, tmp_path: Path, settings) -> None:
    inputs = replace(run_inputs, config=settings(rate_shares={"factors": 0, "offsets": 1}))
    whole = train_in_process(inputs, tmp_path, "projected")
    resumed = train_in_process(inputs, tmp_path, "projected", through_a_file(whole[3], tmp_path / "checkpoint"))
    assert_same(resumed[-1], whole[-1])


def test_a_projector_of_many_sizes_is_resumed_too_and_all_of_them_learn(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    smallest = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0}
    inputs = replace(run_inputs, config=settings(smallest=smallest))
    whole = train_in_process(inputs, tmp_path, "projected")
    resumed = train_in_process(inputs, tmp_path, "projected", through_a_file(whole[3], tmp_path / "checkpoint"))
    assert_same(resumed[-1], whole[-1])

    longer = replace(inputs, config=settings(seeds=[0], smallest=smallest, optimisation={"steps": 60}))
    last = train_in_process(longer, tmp_path, "projected")[-1]
    data, source = load_staged(tmp_path / longer.stage(tmp_path, "test", {}))
    untrained, trained = (task_model("projected", source, longer.config) for _ in range(2))
    trained.load_state_dict(starting_with("finished.0.", last.tensors))
    ends = (trained.sizes.largest, trained.sizes.smallest)
    before, after = (
        [task_scores(model, data.validation, task, torch.device("cpu"), ends) for task in data.validation_tasks]
        for model in (untrained, trained)
    )
    gains = np.mean(after, axis=0) - np.mean(before, axis=0)
    assert len(gains) == 2
    assert gains.min() > 0.05


def test_a_tuned_source_is_resumed_too_and_keeps_its_accuracy(run_inputs: RunInputs, tmp_path: Path, settings) -> None:
    inputs = replace(run_inputs, config=settings(source="tuned"))
    whole = train_in_process(inputs, tmp_path, "projected")
    resumed = train_in_process(inputs, tmp_path, "projected", through_a_file(whole[3], tmp_path / "checkpoint"))
    assert_same(resumed[-1], whole[-1])

    weights = whole[-1].tensors["finished.1.generator.tuned_weights.fc1_weight"]
    assert not torch.equal(weights, run_inputs.source.weights["fc1.weight"])
    assert all(isinstance(row.source_score, float) for row in whole[-1].state.history)


def test_a_model_that_cost_its_source_too_much_is_not_kept(
    run_inputs: RunInputs, tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = iter([0.9, 0.8949, 0.5])
    monkeypatch.setattr(StudentTrainer, "_judge_source", lambda *_: next(spoilt))
    config = settings(seeds=[0], source="tuned", optimisation={"steps": 60, "validate_every": 30})
    inputs = RunInputs(**{**vars(run_inputs), "config": config})
    last = train_in_process(inputs, tmp_path, "projected")[-1]
    history = last.state.history
    assert [row.kept for row in history] == [True, False, False]
    assert history[-1].validation_score > history[0].validation_score
    start = run_inputs.source.weights["fc1.weight"]
    assert torch.equal(last.tensors["finished.0.generator.tuned_weights.fc1_weight"], start)


def test_training_lowers_the_loss_and_keeps_one_model_a_seed(run_inputs: RunInputs, tmp_path: Path, settings) -> None:
    longer = settings(seeds=[3], optimisation={"steps": 60, "validate_every": 30})
    inputs = RunInputs(**{**vars(run_inputs), "config": longer})
    last = train_in_process(inputs, tmp_path, "projected")[-1]
    history = last.state.history
    assert [row.step for row in history] == [0, 30, 60]
    assert history[-1].validation_score > history[0].validation_score
    assert all(name.startswith("finished.3.") for name in last.tensors)


TASKS = [[0, 1], [2, 3, 4]]


def best_score(make: Any, inputs: RunInputs, folder: Path, rate: float) -> float:
    data, _ = load_staged(folder / inputs.stage(folder, "test", {}))
    data = replace(data, train_tasks=TASKS, validation_tasks=TASKS)
    rows: list[HistoryRow] = []
    train_seeds(make, data, inputs.config, rate, Worker(), None, lambda _: None, rows.append)
    return max(row.validation_score for row in rows)


def test_the_universal_model_reaches_on_few_tasks_what_models_of_their_own_reach(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    schedule = {"steps": 200, "validate_every": 50, "images_per_task": 32, "distillation_weight": 0.0}
    config = settings(seeds=[0], optimisation=schedule)
    inputs = replace(run_inputs, config=config)
    spec = inputs.source.spec.student(**config.student.model_dump())

    def own(seed: int) -> TaskModel:
        return TaskModel(PerTaskModels(spec, TASKS, random_inits(spec, TASKS, seed)))

    alone = best_score(own, inputs, tmp_path, 0.01)
    together = best_score(
        lambda seed: task_model("universal", inputs.source, inputs.config, seed), inputs, tmp_path, 0.01
    )
    assert alone > 0.85, "the models of their own have learned nothing to compare with"
    assert together > alone - 0.05
