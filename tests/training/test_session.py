"""A run that is stopped and resumed ends where it would have ended."""

from pathlib import Path
from typing import Any

import pytest
import torch

from projpipe.training.checkpoint import read_checkpoint, write_checkpoint
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.session import Place, train_seeds


def train(inputs: RunInputs, folder: Path, method: str, resume: Any = None) -> list[Any]:
    """All checkpoints of a run, the finished one last."""
    data, source = load_staged(folder / inputs.stage(folder, method))
    saved: list[Any] = []

    def save(state: dict, tensors: dict) -> None:
        saved.append((dict(state), {name: tensor.clone() for name, tensor in tensors.items()}))

    train_seeds(method, data, source, inputs.config, Place(), resume, save, lambda row: None)
    return saved


@pytest.mark.parametrize("method", ["projected", "static", "universal"])
def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_never_stopped(
    method: str, run_inputs: RunInputs, tmp_path: Path
) -> None:
    whole = train(run_inputs, tmp_path, method)
    assert [(state["seed"], state["step"]) for state, _ in whole] == [(0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0)]
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    write_checkpoint(folder, "run", *whole[3])
    resumed = train(run_inputs, tmp_path, method, read_checkpoint(folder, "run"))
    assert len(resumed) == 2
    assert resumed[-1][0] == whole[-1][0]
    assert resumed[-1][1].keys() == whole[-1][1].keys()
    assert all(torch.equal(tensor, whole[-1][1][name]) for name, tensor in resumed[-1][1].items())


def test_training_lowers_the_loss_and_keeps_one_model_a_seed(run_inputs: RunInputs, tmp_path: Path, settings) -> None:
    longer = settings(seeds=[3], optimisation={"steps": 60, "validate_every": 30})
    inputs = RunInputs(**{**vars(run_inputs), "config": longer})
    state, tensors = train(inputs, tmp_path, "projected")[-1]
    history = state["history"]
    assert [row["step"] for row in history] == [0, 30, 60]
    assert history[-1]["validation_accuracy"] > history[0]["validation_accuracy"]
    assert all(name.startswith("finished.3.") for name in tensors)
