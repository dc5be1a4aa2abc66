"""Training on a real Ray cluster of two workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from makers import train_in_process
from projpipe.errors import InputError
from projpipe.stops import STOPPED
from projpipe.tensors import starting_with
from projpipe.training import ray_train
from projpipe.training.checkpoint import TENSORS, read_checkpoint, write_checkpoint
from projpipe.training.cluster import LOST
from projpipe.training.run_inputs import RunInputs
from projpipe.training.seeds import FINISHED

DRIVER = """
import json, sys
from pathlib import Path
from projpipe.config import TrainProjectorConfig
from projpipe.stops import ending_in_order
from projpipe.training.cluster import connect
from projpipe.training.ray_train import fit_run
folder = Path(sys.argv[1])
config = TrainProjectorConfig(**json.loads(sys.argv[2]))
with ending_in_order():
    connect(config.ray)
    fit_run("projected", folder.name, folder, config)
"""


@pytest.fixture(scope="module", autouse=True)
def stop_ray():
    yield
    import ray

    ray.shutdown()


def staged(inputs: RunInputs, runs: Path) -> str:
    return ray_train.stage_run("static", inputs, runs)


def test_two_workers_that_prefetch_and_run_a_step_in_parts_learn_what_one_process_learns(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    schedule = {"tasks_per_step": 4}
    workers = {"num_workers": 2, "loading_workers": 1}
    two = replace(run_inputs, config=settings(ray=workers, optimisation={**schedule, "accumulate": 2}))
    models, history = ray_train.train_method("projected", two, tmp_path)
    assert {row.seed for row in history} == {0, 1}
    one = replace(run_inputs, config=settings(optimisation=schedule))
    alone = starting_with(FINISHED, train_in_process(one, tmp_path, "projected")[-1].tensors)
    assert models.keys() == alone.keys()
    for name, tensor in models.items():
        torch.testing.assert_close(tensor, alone[name], atol=1e-3, rtol=1e-2)


@pytest.fixture(scope="module")
def finished(run_inputs: RunInputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A folder of runs in which one has ended that found what a stop had left half copied, and its models."""
    runs = tmp_path_factory.mktemp("runs")
    half_copied = runs / staged(run_inputs, runs) / "checkpoint_1"
    half_copied.mkdir()
    (half_copied / TENSORS).write_bytes(b"half")
    models, _ = ray_train.train_method("static", run_inputs, runs)
    return runs, models


def test_what_a_stop_left_half_copied_does_not_hold_up_a_run(finished: tuple[Path, dict[str, torch.Tensor]]) -> None:
    runs, models = finished
    assert models
    assert not list(runs.glob("*/checkpoint_1"))


def test_a_checkpoint_that_is_not_listed_is_left_alone_until_the_run_has_ended(
    run_inputs: RunInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a driver that was just killed may still be listing it."""
    unlisted = tmp_path / staged(run_inputs, tmp_path) / "checkpoint_1"
    unlisted.mkdir()
    monkeypatch.setattr(ray_train, "fit_run", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        ray_train.train_method("static", run_inputs, tmp_path)
    assert unlisted.exists()


def test_a_finished_run_is_read_and_a_changed_parameter_starts_another(
    run_inputs: RunInputs, finished: tuple[Path, dict[str, torch.Tensor]], settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, models = finished
    (name,) = (folder.name for folder in runs.iterdir())

    def start(method: str, name: str, *_: object) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(ray_train, "fit_run", start)
    again, _ = ray_train.train_method("static", run_inputs, runs)
    assert all(torch.equal(tensor, again[name]) for name, tensor in models.items())
    changed = replace(run_inputs, config=settings(learning_rates={"static": 0.003}))
    with pytest.raises(RuntimeError, match="^static-") as started:
        ray_train.train_method("static", changed, runs)
    assert str(started.value) != name


@pytest.fixture
def driver(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> Iterator[tuple[subprocess.Popen[bytes], RunInputs, Path]]:
    """A run of 400 steps in a process of its own that has made some progress, its inputs and its folder."""
    config = settings(seeds=[0], optimisation={"steps": 400, "validate_every": 10, "checkpoint_every": 10})
    inputs = replace(run_inputs, config=config)
    folder = tmp_path / ray_train.stage_run("projected", inputs, tmp_path)
    command = [sys.executable, "-c", DRIVER, str(folder), config.model_dump_json()]
    elsewhere = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}  # `address: null` starts a cluster all the same
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, env=elsewhere)
    try:
        wait_for_progress(process, folder, 5)
        yield process, inputs, folder
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def steps_of(folder: Path) -> list[int]:
    """The steps at which the run was validated, in the order it happened."""
    progress = folder / ray_train.PROGRESS
    return [json.loads(line)["step"] for line in progress.read_text().splitlines()] if progress.exists() else []


def wait_for_progress(process: subprocess.Popen[bytes], folder: Path, validations: int) -> None:
    """Until the run was validated so often."""
    deadline = time.monotonic() + 120
    while len(steps_of(folder)) < validations:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run made no progress"
        time.sleep(0.05)


def wait_until_it_goes_on(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the run has gone on where it was."""
    validated = len(steps_of(folder))
    assert steps_of(folder)[-1] < 400
    wait_for_progress(process, folder, validated + 3)
    assert 0 not in steps_of(folder)[1:], "the new worker started anew"


def kill(process: subprocess.Popen[bytes], actor: str) -> None:
    """Kill the process in which an actor of the run lives."""
    children = psutil.Process(process.pid).children(recursive=True)
    (found,) = (child for child in children if actor in " ".join(child.cmdline()))
    found.kill()
    found.wait()


def test_a_run_goes_on_where_its_controller_was_killed_and_ends_with_one_line_where_that_is_the_second_time(
    driver: tuple[subprocess.Popen[bytes], RunInputs, Path],
) -> None:
    process, _, folder = driver
    kill(process, "TrainController")
    wait_until_it_goes_on(process, folder)
    kill(process, "TrainController")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == f"projpipe.errors.InputError: {LOST}"


def test_a_run_goes_on_where_its_worker_and_then_its_driver_were_killed(
    driver: tuple[subprocess.Popen[bytes], RunInputs, Path],
) -> None:
    process, inputs, folder = driver
    kill(process, "RayTrainWorker")
    wait_until_it_goes_on(process, folder)

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reached = steps_of(folder)[-1]
    assert reached < 400

    (folder / ray_train.PROGRESS).unlink()
    ray_train.train_method("projected", inputs, folder.parent)
    steps = steps_of(folder)
    assert 0 < steps[0] <= reached + 10
    assert steps[-1] == 400
    state, _ = read_checkpoint(folder / ray_train.RESULT, folder.name)
    assert [row["step"] for row in state["history"]] == list(range(0, 401, 10))  # every one once


@pytest.mark.parametrize(
    ("number", "tell"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)], ids=["by Ctrl-C", "by kill"]
)
def test_a_run_that_is_told_to_end_says_so_in_one_line_and_leaves_no_process(
    number: signal.Signals,
    tell: Callable[[int, int], None],
    driver: tuple[subprocess.Popen[bytes], RunInputs, Path],
) -> None:
    process, _, _ = driver
    children = psutil.Process(process.pid).children(recursive=True)
    tell(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert said.decode().endswith(f"{STOPPED}\n")
    assert b"SIGTERM" not in said
    assert b"Traceback" not in said
    assert children
    assert not psutil.wait_procs(children, timeout=10)[1]


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_run_whose_cluster_was_killed_ends_with_one_line(
    name: str, driver: tuple[subprocess.Popen[bytes], RunInputs, Path]
) -> None:
    process, _, _ = driver
    children = psutil.Process(process.pid).children(recursive=True)
    next(child for child in children if child.name() == name).kill()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == (
        f"Ray has ended: its {name} was killed, or memory was short; run the same command again, and it goes on"
    )
    assert not psutil.wait_procs(children, timeout=15)[1]


def test_more_workers_than_the_cluster_holds_are_refused_at_once(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    crowd = replace(run_inputs, config=settings(ray={"num_workers": 500}, optimisation={"tasks_per_step": 500}))
    with pytest.raises(InputError, match=r"500 workers ask for 500 CPUs, the cluster has"):
        ray_train.train_method("static", crowd, tmp_path)


def test_a_damaged_result_is_refused_by_name(run_inputs: RunInputs, tmp_path: Path) -> None:
    folder = tmp_path / staged(run_inputs, tmp_path)
    result = folder / ray_train.RESULT
    result.mkdir()
    write_checkpoint(result, folder.name, {"history": []}, {"0.a": torch.zeros(100)})
    (result / TENSORS).write_bytes((result / TENSORS).read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=rf"{result}: .*its checksum differs.*; delete the folder {folder}, and the"):
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


def test_a_worker_whose_loss_is_no_number_ends_the_run_with_one_line(
    run_inputs: RunInputs, tmp_path: Path, settings
) -> None:
    steep = replace(run_inputs, config=settings(learning_rates={"static": 1e30}))
    with pytest.raises(InputError, match=r"^train_projector \(static\): the loss is nan in step \d+; lower .* 1e\+30$"):
        ray_train.train_method("static", steep, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert steps_of(folder) == [0], "it was tried again"
