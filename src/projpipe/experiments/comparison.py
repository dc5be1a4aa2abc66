"""Comparisons: every method of every table trained with every seed, each as a Ray task of its own, and judged.

What is finished is kept as one small file a method and seed, so that a comparison that was stopped, or that has grown
by a table, trains only what is missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from projpipe.atomic import write_atomically
from projpipe.config import RayConfig
from projpipe.errors import DivergenceError, InputError
from projpipe.experiments.trial import Judged, Part, pruned_shape, train_part
from projpipe.metric import Metric
from projpipe.training.cluster import connect, result_of
from projpipe.training.progress import followed_progress, last_progress
from projpipe.training.run_inputs import RunInputs

logger = logging.getLogger(__name__)


def run_comparison(
    parts: Sequence[Part], inputs: RunInputs, judged: Judged, sampled: list[list[int]], runs: Path
) -> list[dict[str, Any]]:
    """Train and judge all parts that are not finished, as many at once as there are CPUs or GPUs.

    Args:
        judged: the held-out tasks.
        sampled: class ids of those of them that methods which train a model per task are trained for.
        runs: folder for inputs and outcomes, which all workers must see.

    Returns:
        The outcome of every part, in order, see `train_part`.

    Raises:
        InputError: a student is smaller than pruning can make the teacher, or the cluster has no room.
    """
    for part in parts:
        if part.method == "pruned":
            pruned_shape(part, inputs.source.spec, sampled)
    name = inputs.stage(runs, "comparison", {"judged": judged, "sampled": sampled})
    folder = (runs / name).resolve()
    missing = {part.file(): part for part in parts if not (folder / part.file()).exists()}
    logger.info("%d of %d parts are finished", len(parts) - len(missing), len(parts))
    if missing:
        _train_on_ray(folder, list(missing.values()), judged, sampled, inputs.objective.metric, inputs.config.ray)
    return [json.loads((folder / part.file()).read_text()) for part in parts]


def _train_on_ray(
    folder: Path, parts: Sequence[Part], judged: Judged, sampled: list[list[int]], metric: Metric, config: RayConfig
) -> None:
    """Train parts as Ray tasks and write the outcome of each as soon as it is there; raises when all have ended."""
    use_gpu = bool(connect(config).use_gpu)
    import ray  # not before: it is connected with a token

    device = torch.device("cuda" if use_gpu else "cpu")
    train = ray.remote(num_cpus=1, num_gpus=int(use_gpu), max_retries=1)(train_part)
    for part in parts:
        (folder / part.progress_file()).unlink(missing_ok=True)  # of a run that was stopped
    running = {train.remote(folder, part, judged, sampled, device): part for part in parts}
    steps = sum(part.config.optimisation.steps for part in parts)
    done = 0
    failed: list[Exception] = []
    with followed_progress("train and judge", steps, "starting workers", partial(steps_done, folder, parts)):
        while running:
            (ready,), _ = ray.wait(list(running))
            part = running.pop(ready)
            try:
                outcome = result_of(ready)
            except (InputError, ray.exceptions.RayError) as error:
                (folder / part.progress_file()).unlink(missing_ok=True)
                named = f"{part.place}, seed {part.seed}: {error}"
                failed.append(InputError(named) if isinstance(error, DivergenceError) else error)
                logger.error("%s; the other parts go on", named)
                continue
            with write_atomically(folder / part.file()) as temporary:
                temporary.write_text(json.dumps(outcome))
            (folder / part.progress_file()).unlink(missing_ok=True)
            done += 1
            best = [row["validation_score"] for row in outcome["history"] if row["kept"]][-1]
            logger.info(
                "%d of %d: %s, %s, seed %d: %s on validation tasks",
                done,
                len(parts),
                part.table,
                part.name,
                part.seed,
                metric.named(best),
            )
    if failed:
        raise min(failed, key=lambda error: not isinstance(error, InputError))


def steps_done(folder: Path, parts: Sequence[Part]) -> tuple[int, str] | None:
    """How many steps of all parts are done, and how many parts are at work; None where all are still to start."""
    done = at_work = 0
    for part in parts:
        if (folder / part.file()).exists():
            done += part.config.optimisation.steps
        elif row := last_progress(folder / part.progress_file()):
            done += row["step"]
            at_work += 1
    steps = sum(part.config.optimisation.steps for part in parts)
    return (done, f"step {done:,}/{steps:,}  {at_work} at work") if at_work or done else None
