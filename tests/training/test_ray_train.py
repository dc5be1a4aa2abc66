"""Training on a real Ray cluster of two workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from projpipe.errors import InputError
from projpipe.training import ray_train
from projpipe.training.checkpoint import TENSORS, write_checkpoint
from projpipe.training.run_inputs import RunInputs, deciding

DRIVER = """
import json, sys
from pathlib import Path
from projpipe.config import TrainProjectorConfig
from projpipe.training.cluster import connect
from projpipe.training.ray_train import fit_run
folder = Path(sys.argv[1])
config = TrainProjectorConfig(**json.loads(sys.argv[2]))
connect(config.ray)
fit_run("projected", folder.name, folder, config)
"""


@pytest.fixture(scope="module", autouse=True)
def stop_ray():
    yield
    import ray

    ray.shutdown()


def test_two_workers_that_prefetch_and_run_a_step_in_parts_learn_what_one_learns(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    schedule = {"tasks_per_step": 4}
    workers = {"num_workers": 2, "loading_workers": 1}
    two = replace(run_inputs, config=settings(ray=workers, optimisation={**schedule, "accumulate": 2}))
    models, history = ray_train.train_method("projected", two, tmp_path)
    one = replace(run_inputs, config=settings(optimisation=schedule))
    alone, _ = ray_train.train_method("projected", one, tmp_path)
    assert {row.seed for row in history} == {0, 1}
    assert models.keys() == alone.keys()
    for name, tensor in models.items():
        torch.testing.assert_close(tensor, alone[name], atol=1e-3, rtol=1e-2)


def test_a_finished_run_is_read_and_a_changed_parameter_starts_afresh(
    run_inputs: RunInputs, tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = ray_train.train_method("universal", run_inputs, tmp_path)
    runs = set(tmp_path.iterdir())
    started: list[str] = []
    fit = ray_train.fit_run
    monkeypatch.setattr(ray_train, "fit_run", lambda *args: (started.append(args[1]), fit(*args)))
    again, _ = ray_train.train_method("universal", run_inputs, tmp_path)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert (set(tmp_path.iterdir()), started) == (runs, [])

    changed = replace(run_inputs, config=settings(learning_rates={"universal": 0.003}))
    other, _ = ray_train.train_method("universal", changed, tmp_path)
    assert len(started) == 1
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


@pytest.fixture
def driver(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> Iterator[tuple[subprocess.Popen[bytes], RunInputs, Path]]:
    """A run of 400 steps in a process of its own that has made some progress, its inputs and its folder."""
    config = settings(seeds=[0], optimisation={"steps": 400, "validate_every": 10, "checkpoint_every": 10})
    inputs = replace(run_inputs, config=config)
    folder = tmp_path / inputs.stage(tmp_path, "projected", deciding(config, config.learning_rates["projected"]))
    command = [sys.executable, "-c", DRIVER, str(folder), config.model_dump_json()]
    elsewhere = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}  # `address: null` starts a cluster all the same
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, env=elsewhere)
    deadline = time.monotonic() + 120
    try:
        while len(steps_of(folder)) < 5:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "the run made no progress"
            time.sleep(0.05)
        yield process, inputs, folder
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def steps_of(folder: Path) -> list[int]:
    """The steps at which the run was validated, in the order it happened."""
    progress = folder / ray_train.PROGRESS
    return [json.loads(line)["step"] for line in progress.read_text().splitlines()] if progress.exists() else []


def assert_every_step_was_judged_once(folder: Path) -> None:
    history = json.loads((folder / ray_train.HISTORY).read_text())
    assert [row["step"] for row in history] == list(range(0, 401, 10))


def test_a_killed_driver_goes_on_where_it_stopped(driver: tuple[subprocess.Popen[bytes], RunInputs, Path]) -> None:
    process, inputs, folder = driver
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reached = steps_of(folder)[-1]
    assert reached < 400

    (folder / ray_train.PROGRESS).unlink()
    ray_train.train_method("projected", inputs, folder.parent)
    steps = steps_of(folder)
    assert 0 < steps[0] <= reached + 10
    assert steps[-1] == 400
    assert_every_step_was_judged_once(folder)


def test_a_killed_worker_is_replaced_by_one_that_goes_on(
    driver: tuple[subprocess.Popen[bytes], RunInputs, Path],
) -> None:
    process, _, folder = driver
    (worker,) = (
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.name().startswith("ray::RayTrain") or "RayTrainWorker" in " ".join(child.cmdline())
    )
    worker.kill()
    reached = steps_of(folder)[-1]
    assert reached < 400

    assert process.wait(timeout=180) == 0
    steps = steps_of(folder)
    assert steps[0] == 0
    assert 0 not in steps[1:], "it started anew"
    assert_every_step_was_judged_once(folder)


def test_more_workers_than_the_cluster_holds_are_refused_at_once(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    crowd = replace(run_inputs, config=settings(ray={"num_workers": 500}, optimisation={"tasks_per_step": 500}))
    with pytest.raises(InputError, match=r"500 workers ask for 500 CPUs, the cluster has"):
        ray_train.train_method("static", crowd, tmp_path)


def staged(inputs: RunInputs, runs: Path) -> str:
    return inputs.stage(runs, "static", deciding(inputs.config, inputs.config.learning_rates["static"]))


def test_a_damaged_result_is_refused_by_name(run_inputs: RunInputs, tmp_path: Path) -> None:
    folder = tmp_path / staged(run_inputs, tmp_path)
    (folder / ray_train.RESULT).write_bytes(b"\x00" * 20)
    (folder / ray_train.HISTORY).write_text("[]")
    with pytest.raises(InputError, match=r"its result cannot be read .* delete this folder"):
        ray_train.train_method("static", run_inputs, tmp_path)


def test_a_damaged_checkpoint_is_refused_before_workers_start(run_inputs: RunInputs, tmp_path: Path) -> None:
    folder = tmp_path / staged(run_inputs, tmp_path)
    checkpoint, half_copied = folder / "checkpoint_1", folder / "checkpoint_2"
    for made in (checkpoint, half_copied):
        made.mkdir()
        write_checkpoint(made, folder.name, {}, {"a": torch.zeros(100)})
        (made / TENSORS).write_bytes((made / TENSORS).read_bytes()[:200])
    listed = {"checkpoint_results": [{"checkpoint_dir_name": checkpoint.name, "metrics": {}}]}
    (folder / ray_train.SNAPSHOT).write_text(json.dumps(listed))
    with pytest.raises(InputError, match=rf"checkpoint_1: cannot be read .*; delete the folder {folder}, and"):
        ray_train.train_method("static", run_inputs, tmp_path)
    (folder / ray_train.SNAPSHOT).write_text("{")
    with pytest.raises(InputError, match=rf"{ray_train.SNAPSHOT}: cannot be read .*; delete the folder {folder}"):
        ray_train.train_method("static", run_inputs, tmp_path)


def test_what_a_stop_left_half_copied_does_not_hold_up_a_run(run_inputs: RunInputs, tmp_path: Path) -> None:
    folder = tmp_path / staged(run_inputs, tmp_path)
    (folder / "checkpoint_1").mkdir()
    (folder / "checkpoint_1" / TENSORS).write_bytes(b"half")
    models, _ = ray_train.train_method("static", run_inputs, tmp_path)
    assert models
    assert not (folder / "checkpoint_1").exists()


def test_a_worker_whose_loss_is_no_number_ends_the_run_with_one_line(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    steep = replace(run_inputs, config=settings(learning_rates={"static": 1e30}))
    with pytest.raises(InputError, match=r"^train_projector \(static\): the loss is nan in step \d+; lower .* 1e\+30$"):
        ray_train.train_method("static", steep, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert steps_of(folder) == [0], "it was tried again"
