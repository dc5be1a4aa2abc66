"""Training on Ray: workers, checkpoints, and what happens when one of them dies."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.config import TrainProjectorConfig
from projpipe.errors import DivergenceError, InputError
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.methods.task_model import TaskModel
from projpipe.record import from_json, to_json
from projpipe.stops import in_a_thread
from projpipe.tensors import starting_with
from projpipe.training.checkpoint import read_checkpoint, write_checkpoint
from projpipe.training.cluster import LOST, connect, give_back
from projpipe.training.history import HistoryRow
from projpipe.training.progress import followed_progress, last_progress, note_progress
from projpipe.training.run_inputs import RunInputs, deciding, load_staged
from projpipe.training.seeds import FINISHED, Worker, train_seeds
from projpipe.training.state import Checkpoint, TrainingState
from projpipe.training.threads import use_threads

RESULT, PROGRESS, REFUSED = "result", "progress.jsonl", "refused.txt"  # the first is a checkpoint, of all seeds
SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray Train's list of checkpoints that are whole
logger = logging.getLogger(__name__)


def train_method(method: str, inputs: RunInputs, runs: Path) -> tuple[dict[str, Tensor], Sequence[HistoryRow]]:
    """Train one method with every seed on Ray, or read its result where this very run is finished already.

    Args:
        method: its name.
        runs: folder for the run's inputs, checkpoints and result. All workers must see it: on a cluster of several
            machines it lies on shared storage.

    Returns:
        Tensors named `<seed>.<parameter>`, and the rows of the history.

    Raises:
        InputError: the student is not smaller than its source, the cluster has no room for the workers, or a stored
            result or checkpoint is damaged.
    """
    config = inputs.config.of_method(method)
    build(method, Ingredients(inputs.source, config, config.seeds[0]))  # refuses before work starts
    name = stage_run(method, inputs, runs)
    folder = runs / name
    if not (folder / RESULT).exists():
        config = config.model_copy(update={"ray": connect(config.ray)})
        _check_checkpoints(folder)
        fit_run(method, name, folder.resolve(), config)
    else:
        logger.info("%s: taken from the finished run %s", method, name)
    state, tensors = read_checkpoint(folder / RESULT, name, run_folder=folder)
    return tensors, from_json(tuple[HistoryRow, ...], state["history"])


def stage_run(method: str, inputs: RunInputs, runs: Path) -> str:
    """Write a run's inputs into its folder; its name, which the number of threads decides too."""
    config = inputs.config.of_method(method)
    decided_by = deciding(config, config.known_rates[method])
    return inputs.stage(runs, method, {**decided_by, "threads": config.ray.cpus_per_worker})


def _check_checkpoints(folder: Path) -> None:
    """Refuse a damaged checkpoint here: a worker that met it would end the run with Ray's own errors."""
    for name in _listed(folder):
        read_checkpoint(folder / name, folder.name, run_folder=folder)


def _listed(folder: Path) -> list[str]:
    """The checkpoints that are whole: Ray copies one before it lists it, and goes on from the last in its list."""
    try:
        snapshot = json.loads((folder / SNAPSHOT).read_text())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InputError(
            f"{folder / SNAPSHOT}: cannot be read ({error}); delete the folder {folder}, and the run starts anew"
        ) from error
    return [result["checkpoint_dir_name"] for result in snapshot["checkpoint_results"]]


def _remove_unlisted(folder: Path) -> None:
    """Remove what stops have left half copied.

    Not before the run has ended: of a driver that was just killed, the workers may still be listing one.
    """
    listed = _listed(folder)
    for checkpoint in folder.glob("checkpoint_*/"):
        if checkpoint.name not in listed:
            shutil.rmtree(checkpoint)


def fit_run(method: str, name: str, folder: Path, config: TrainProjectorConfig) -> None:
    """Run Ray Train under the run's name, which resumes what a killed run left, and store the result."""
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    workers = config.ray
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"method": method, "folder": str(folder), "config": config.model_dump(mode="json")},
        torch_config=TorchConfig(backend="nccl" if workers.use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=bool(workers.use_gpu),
            resources_per_worker={"CPU": workers.cpus_per_worker, **({"GPU": 1} if workers.use_gpu else {})},
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=str(folder.parent),
            failure_config=ray.train.FailureConfig(max_failures=workers.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    seeds, steps = config.seeds, config.optimisation.steps

    def look() -> tuple[int, str] | None:
        if (row := last_progress(folder / PROGRESS)) is None:
            return None
        done = seeds.index(row.seed) * steps + row.step
        return done, f"seed {row.seed}  step {row.step}/{steps}  {row.score}"

    (folder / REFUSED).unlink(missing_ok=True)  # of an earlier run
    with followed_progress(f"train {method}", len(seeds) * steps, "starting workers", look):
        result = _fit(trainer, workers.max_failures, folder)
    assert result.checkpoint is not None  # a run that ends has saved its models
    with result.checkpoint.as_directory() as checkpoint:
        state, tensors = read_checkpoint(Path(checkpoint), name)
    _remove_unlisted(folder)
    with write_atomically(folder / RESULT) as temporary:
        temporary.mkdir()
        write_checkpoint(temporary, name, {"history": state["history"]}, starting_with(FINISHED, tensors))


def _fit(trainer: Any, tries: int, folder: Path) -> Any:
    """The result of a trainer; started anew where Ray does not: its controller is lost, or a worker as it starts."""
    from ray.exceptions import RayActorError
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    try:
        return in_a_thread(trainer.fit)  # else it would wait for its workers when told to end
    except WorkerGroupError as error:
        if (folder / REFUSED).exists():
            raise InputError((folder / REFUSED).read_text()) from error
        if all(isinstance(failure, RayActorError) for failure in error.worker_failures.values()):
            raise InputError(LOST) from error
        raise
    except (ControllerError, RayActorError) as error:
        if not isinstance(getattr(error, "controller_failure", error), RayActorError):
            raise
        if not tries:
            raise InputError(LOST) from error
        in_a_thread(give_back)
        return _fit(trainer, tries - 1, folder)


def _worker(settings: dict[str, Any]) -> None:
    """One Ray Train worker; what a person can fix is left in the run's folder, for the driver to say.

    Ray starts workers anew whatever ended them: they are not to come to the same end again.
    """
    method, folder = settings["method"], Path(settings["folder"])
    if (left := folder / REFUSED).exists():
        raise InputError(left.read_text())
    try:
        _train(method, folder, TrainProjectorConfig(**settings["config"]))
    except InputError as error:
        place = f"train_projector ({method}): " if isinstance(error, DivergenceError) else ""
        with write_atomically(folder / REFUSED) as temporary:
            temporary.write_text(f"{place}{error}")
        raise


def _train(method: str, folder: Path, config: TrainProjectorConfig) -> None:
    import ray.train
    import ray.train.torch

    context = ray.train.get_context()
    rank = context.get_world_rank()
    use_threads(config.ray.cpus_per_worker)

    def save(reached: Checkpoint) -> None:
        state = reached.state
        with tempfile.TemporaryDirectory() as temporary:
            if rank == 0:
                write_checkpoint(Path(temporary), folder.name, to_json(state), reached.tensors)
            checkpoint = ray.train.Checkpoint.from_directory(temporary) if rank == 0 else None
            ray.train.report({"position": state.position, "step": state.step}, checkpoint=checkpoint)

    latest = ray.train.get_checkpoint()
    resume = None
    if latest is not None:
        with latest.as_directory() as stored:
            state, tensors = read_checkpoint(Path(stored), folder.name)
            resume = Checkpoint(from_json(TrainingState, state), tensors)
    data, source = load_staged(folder)
    progress = partial(note_progress, folder / PROGRESS, metric=data.objective.metric)
    worker = Worker(
        rank=rank,
        workers=context.get_world_size(),
        device=ray.train.torch.get_device(),
        # Buffers hold the frozen source, the same everywhere: DDP would send it anew at every step.
        wrap=partial(ray.train.torch.prepare_model, parallel_strategy_kwargs={"broadcast_buffers": False}),
    )

    def make(seed: int) -> TaskModel:
        return build(method, Ingredients(source, config, seed))

    train_seeds(make, data, config, config.known_rates[method], worker, resume, save, progress)
