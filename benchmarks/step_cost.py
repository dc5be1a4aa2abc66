"""What one optimisation step costs: the projector against the universal model, same student, batch and process.

    kedro run --env omniglot --pipelines split_tasks,extract_teacher
    python benchmarks/step_cost.py

Prints the median time of a step, images a second, the share of this machine's peak FLOP/s (that of a large matrix
product, measured in the same process), and the ratio of the medians. The methods take turns, step by step.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

from projpipe.config import StudentConfig
from projpipe.errors import InputError
from projpipe.methods.flops import flops_per_step
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.objectives.batch import Batch
from projpipe.training.batches import draw_batch
from projpipe.training.gather import DATASETS, gather_run_inputs
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.student_trainer import StudentTrainer

METHODS = ("universal", "static", "projected")
WARM_UP = 5  # steps whose time is left out
SIZE = 2048  # of the matrices whose product is taken for the peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="omniglot", help="environment whose data and teacher are there already")
    parser.add_argument("--embed-dim", type=int, default=48)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--mlp-ratio", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=40, help=f"of which the first {WARM_UP} are left out")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    if arguments.steps <= WARM_UP:
        parser.error(f"--steps {arguments.steps}: the first {WARM_UP} are left out; give more")
    torch.set_num_threads(arguments.threads)

    try:
        inputs = load_inputs(arguments.env)
    except InputError as error:
        parser.error(str(error))
    except DatasetError as error:
        command = f"kedro run --env {arguments.env} --pipelines split_tasks,extract_teacher"
        parser.error(f"{error}; run `{command}` first")
    student = StudentConfig(
        embed_dim=arguments.embed_dim, depth=arguments.depth, num_heads=4, mlp_ratio=arguments.mlp_ratio
    )
    config = inputs.config.model_copy(update={"student": student})
    schedule = config.optimisation
    with tempfile.TemporaryDirectory() as folder:
        data, source = load_staged(Path(folder) / inputs.stage(Path(folder), "benchmark", {}))
        batches = [
            draw_batch(data, schedule.tasks_per_step, schedule.images_per_task, seed=(0, step))
            for step in range(arguments.steps)
        ]
        models = {method: build(method, Ingredients(source, config, seed=0)) for method in METHODS}
        flops = {method: flops_per_step(model, batches[0]) for method, model in models.items()}
    trainers = {
        method: StudentTrainer(model, torch.nn.Identity(), data.objective, schedule, 0.002)
        for method, model in models.items()
    }
    seconds = measure(trainers, batches)
    peak = peak_flops()

    images = schedule.tasks_per_step * schedule.images_per_task
    print(f"{student.embed_dim} x {student.depth} student, {images} images a step, {arguments.threads} threads")
    print(f"peak {peak / 1e9:.0f} GFLOP/s")
    for method, times in seconds.items():
        step = median(times)
        share = flops[method] / step / peak
        print(
            f"{method:10} {1000 * step:7.1f} ms  {images / step:6.0f} images/s  {flops[method] / 1e9:5.2f} GFLOP  "
            f"{share:4.0%} of peak"
        )
    print(f"projected / universal: {median(seconds['projected']) / median(seconds['universal']):.2f}")


def load_inputs(env: str) -> RunInputs:
    """The inputs of a run out of the catalog of an environment."""
    bootstrap_project(Path.cwd())
    session = KedroSession.create(env=env)
    with session:
        load = session.load_context().catalog.load
        return gather_run_inputs(**{name: load(name) for name in DATASETS}, config=load("params:train_projector"))


def measure(trainers: dict[str, StudentTrainer], batches: list[Batch]) -> dict[str, list[float]]:
    """Seconds of every step; the first ones are left out."""
    seconds: dict[str, list[float]] = {method: [] for method in trainers}
    for batch in batches:
        for method, trainer in trainers.items():
            start = time.perf_counter()
            trainer.train_step(batch)
            seconds[method].append(time.perf_counter() - start)
    return {method: times[WARM_UP:] for method, times in seconds.items()}


def peak_flops() -> float:
    """Operations a second of a large matrix product in single precision."""
    matrix = torch.randn(SIZE, SIZE)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2 * SIZE**3 / median(times)


if __name__ == "__main__":
    main()
