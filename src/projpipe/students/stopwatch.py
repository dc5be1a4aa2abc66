"""Time of a model's forward pass: by the clock, and without what other programs took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from projpipe.students.elapsed import Elapsed

WARM_UP = 5
REPEATS = 30
LEAST_SECONDS = 0.1  # that runs take together: where they are short, another program in between is most of a few


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Run torch with `threads` threads inside the block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(run: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def clock_and_processor_seconds(run: Callable[[], object]) -> tuple[float, float]:
    """How long a call takes by the clock, and how long of that this thread had the processor."""
    before = time.thread_time()
    return seconds(run), time.thread_time() - before


def time_of(run: Callable[[], object], threads: int = 1) -> Elapsed:
    """How long a call takes, after some that do not count; of more repeats where it is short."""
    with fixed_threads(threads), torch.inference_mode():
        for _ in range(WARM_UP):
            run()
        end, taken = time.perf_counter() + LEAST_SECONDS, [clock_and_processor_seconds(run)]
        while len(taken) < REPEATS or time.perf_counter() < end:
            taken.append(clock_and_processor_seconds(run))
        return elapsed_of(taken, threads)


def elapsed_of(taken: Sequence[tuple[float, float]], threads: int = 1) -> Elapsed:
    """What runs took together, each in seconds by the clock and on the processor."""
    clock, processor = np.array(taken).T
    undisturbed = np.median(processor) if threads == 1 else clock.min()
    return Elapsed(
        median_ms=round(1000 * float(np.median(clock)), 4), undisturbed_ms=round(1000 * float(undisturbed), 4)
    )
