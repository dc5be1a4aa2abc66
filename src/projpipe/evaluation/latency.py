"""Wall-clock time of inference, of drawing an image, and of making one model."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypedDict

import numpy as np
import torch
from torch import nn

from projpipe.config import LatencyConfig
from projpipe.machine import system
from projpipe.objectives import Objective
from projpipe.students.elapsed import Elapsed
from projpipe.students.stopwatch import WARM_UP, clock_and_processor_seconds, elapsed_of, fixed_threads
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.sampling import sample
from projpipe.transformer.spec import TransformerSpec

SAMPLED_LESS = 5  # drawing an image is as many forward passes as it has symbols, so that fewer repeats do


class Latency(Elapsed):
    """Time of one forward pass, and how many times faster than the teacher it is: ratios of the medians.

    `iqr_ms` is the interquartile range by the clock. Other programs interrupt a long run more often than a short one,
    so that on a busy machine `speedup` is far above that of a quiet one: then `undisturbed_speedup` is nearer.
    """

    iqr_ms: float
    speedup: float
    undisturbed_speedup: float


class Timings(TypedDict):
    """The content of `timings.json`: the only output with wall-clock figures besides the report.

    `latency` is {method: {batch size: Latency}} of models for `num_classes` classes, the teacher's for all classes;
    `sampling` is {method: Latency} of drawing one image, empty where models draw none; `make_one_model` is the time to
    make a model for a task, by method.
    """

    machine: str
    threads: int
    repeats: int
    num_classes: int
    latency: dict[str, dict[str, Latency]]
    sampling: dict[str, Latency]
    make_one_model: dict[str, Elapsed]


class SpeedUp(TypedDict):
    """Median milliseconds of the teacher and of a table's student, and how many times faster the student is."""

    teacher_ms: float
    student_ms: float
    speedup: float
    undisturbed_speedup: float


class ComparisonTimings(TypedDict):
    """The content of a comparison's `timings.json`.

    `latency` is {table: {batch size: SpeedUp}}, `sampling` is {table: SpeedUp} of drawing one image, empty where models
    draw none.
    """

    machine: str
    threads: int
    latency: dict[str, dict[str, SpeedUp]]
    sampling: dict[str, SpeedUp]


def measure_timings(
    teacher: nn.Module,
    specialisers: Mapping[str, Callable[[Sequence[int]], nn.Module]],
    tasks: Sequence[Sequence[int]],
    classes: Sequence[int],
    objective: Objective,
    config: LatencyConfig,
) -> Timings:
    """Latency of the teacher and of every method's model for `classes`, and the time to make models for `tasks`.

    `specialisers` maps a method to the function that makes its model for a list of class ids.
    """
    models = {"teacher": teacher, **{method: specialise(classes) for method, specialise in specialisers.items()}}
    by_batch = {str(size): forward_latencies(models, objective, size, config) for size in config.batch_sizes}
    return Timings(
        machine=system(),
        threads=config.threads,
        repeats=config.repeats,
        num_classes=len(classes),
        latency={name: {size: measured[name] for size, measured in by_batch.items()} for name in models},
        sampling=sampling_latencies(models, objective, config),
        make_one_model={
            method: time_to_make(specialise, tasks, config.threads) for method, specialise in specialisers.items()
        },
    )


def compare_timings(
    teacher: nn.Module, students: Mapping[str, nn.Module], objective: Objective, config: LatencyConfig
) -> ComparisonTimings:
    """How much faster than the teacher the student of every table is; `students` are {table: model}."""
    models = {"teacher": teacher, **students}
    by_batch = {str(size): forward_latencies(models, objective, size, config) for size in config.batch_sizes}
    sampling = sampling_latencies(models, objective, config)
    return ComparisonTimings(
        machine=system(),
        threads=config.threads,
        latency={
            table: {size: _against_teacher(table, measured) for size, measured in by_batch.items()}
            for table in students
        },
        sampling={table: _against_teacher(table, sampling) for table in students if sampling},
    )


def forward_latencies(
    models: Mapping[str, nn.Module], objective: Objective, batch_size: int, config: LatencyConfig
) -> dict[str, Latency]:
    """Latency of every model's forward pass on a batch of images; one of `models` is named 'teacher'."""
    images = objective.blank(batch_size)
    runs = {name: partial(objective.logits, model, images) for name, model in models.items()}
    return latencies(runs, config.threads, config.repeats)


def sampling_latencies(
    models: Mapping[str, nn.Module], objective: Objective, config: LatencyConfig
) -> dict[str, Latency]:
    """Latency of drawing one image from every model; none where models draw none."""
    if not objective.samples:
        return {}
    decoders = {name: (TransformerSpec.of(model), canonical_weights(model)) for name, model in models.items()}
    runs = {name: partial(sample, spec, weights, 1, seed=0) for name, (spec, weights) in decoders.items()}
    return latencies(runs, config.threads, max(5, config.repeats // SAMPLED_LESS))


def latencies(runs: Mapping[str, Callable[[], object]], threads: int, repeats: int) -> dict[str, Latency]:
    """Latency of what is run; one of `runs` is named 'teacher'.

    They take turns in every repeat, in an order drawn anew, so that noise of the machine and what the one before left
    in the caches fall on all of them.
    """
    order = np.random.default_rng(0)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    with fixed_threads(threads), torch.inference_mode():
        for repeat in range(-WARM_UP, repeats):
            for name in order.permutation(list(runs)):
                once = clock_and_processor_seconds(runs[name])
                if repeat >= 0:
                    taken[name].append(once)
    teacher = elapsed_of(taken["teacher"], threads)
    return {name: _summary(times, teacher, threads) for name, times in taken.items()}


def time_to_make(
    specialise: Callable[[Sequence[int]], nn.Module], tasks: Sequence[Sequence[int]], threads: int
) -> Elapsed:
    """Median time that `specialise` takes to make a model, over the class lists of `tasks`."""
    with fixed_threads(threads), torch.inference_mode():
        specialise(tasks[0])
        taken = [clock_and_processor_seconds(partial(specialise, classes)) for classes in tasks]
    return elapsed_of(taken, threads)


def _against_teacher(table: str, measured: Mapping[str, Latency]) -> SpeedUp:
    return SpeedUp(
        teacher_ms=measured["teacher"]["median_ms"],
        student_ms=measured[table]["median_ms"],
        speedup=measured[table]["speedup"],
        undisturbed_speedup=measured[table]["undisturbed_speedup"],
    )


def _summary(taken: Sequence[tuple[float, float]], teacher: Elapsed, threads: int) -> Latency:
    low, high = np.percentile([clock for clock, _ in taken], [25, 75])
    own = elapsed_of(taken, threads)
    return Latency(
        **own,
        iqr_ms=round(1000 * float(high - low), 4),
        speedup=round(teacher["median_ms"] / own["median_ms"], 3),
        undisturbed_speedup=round(teacher["undisturbed_ms"] / own["undisturbed_ms"], 3),
    )
