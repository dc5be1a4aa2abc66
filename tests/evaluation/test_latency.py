import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from projpipe.config import LatencyConfig
from projpipe.evaluation.latency import (
    WARM_UP,
    compare_timings,
    fixed_threads,
    forward_latencies,
    latencies,
    measure_timings,
    time_to_make,
)
from projpipe.objectives import Classification

OBJECTIVE = Classification([0.3], [0.35], (1, 4, 4))


class Sleeper(nn.Module):
    """Takes a given time for a batch, and writes down when it was called and on what."""

    def __init__(self, name: str, seconds: float, calls: list[tuple[str, int, int, bool]]) -> None:
        super().__init__()
        self.name, self.seconds, self.calls = name, seconds, calls

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((self.name, len(images), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        time.sleep(self.seconds)
        return images


@pytest.fixture
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_latency_and_speedup_are_those_of_models_with_known_times() -> None:
    calls: list[tuple[str, int, int, bool]] = []
    models = {"teacher": Sleeper("teacher", 0.012, calls), "projected": Sleeper("projected", 0.003, calls)}
    images = torch.zeros(3, 1, 4, 4)
    found = latencies({name: partial(model, images) for name, model in models.items()}, threads=1, repeats=9)

    # Sleeping lasts at least as long as asked for, and longer on a busy machine.
    assert 12 <= found["teacher"]["median_ms"] < 24
    assert 3 <= found["projected"]["median_ms"] < 6
    assert found["projected"]["speedup"] == pytest.approx(4, rel=0.5)
    assert found["teacher"]["speedup"] == found["teacher"]["undisturbed_speedup"] == 1


class Interrupted:
    """Computes for a given time on the processor; other programs have it for as long again where it `waits`."""

    def __init__(self, seconds: float, waits: float) -> None:
        self.seconds, self.waits = seconds, waits

    def __call__(self) -> None:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        time.sleep(self.waits)


def test_what_other_programs_took_is_left_out_of_the_undisturbed_time_with_one_thread() -> None:
    runs = {"teacher": Interrupted(0.008, waits=0.024), "projected": Interrupted(0.002, waits=0)}
    found = latencies(runs, threads=1, repeats=7)
    assert found["teacher"]["undisturbed_ms"] == pytest.approx(8, rel=0.2)
    assert found["teacher"]["median_ms"] > 30
    assert found["projected"]["undisturbed_speedup"] == pytest.approx(4, rel=0.3)


def test_with_several_threads_the_fastest_run_is_the_undisturbed_one(restored_threads: None) -> None:
    waits = iter([0.02] * WARM_UP + [0.001, *[0.02] * 6])
    found = latencies({"teacher": lambda: time.sleep(next(waits))}, threads=2, repeats=7)["teacher"]
    assert found["undisturbed_ms"] < 10 < 20 <= found["median_ms"]


def test_models_take_turns_after_warming_up_with_fixed_threads_and_without_gradients() -> None:
    calls: list[tuple[str, int, int, bool]] = []
    models = {name: Sleeper(name, 0, calls) for name in ("teacher", "projected", "static")}
    forward_latencies(models, OBJECTIVE, 3, LatencyConfig(batch_sizes=(3,), threads=1, repeats=5))

    names = np.array([call[0] for call in calls]).reshape(WARM_UP + 5, 3)
    assert all(set(turn) == set(models) for turn in names)
    assert len({tuple(turn) for turn in names}) > 1
    assert {call[1:] for call in calls} == {(3, 1, True)}


def test_threads_are_given_back_even_after_an_error(restored_threads: None) -> None:
    torch.set_num_threads(1)
    inside = []

    def fail() -> None:
        with fixed_threads(2):
            inside.append(torch.get_num_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert inside == [2]
    assert torch.get_num_threads() == 1


def test_time_to_make_is_the_median_over_the_tasks() -> None:
    def specialise(classes: object) -> nn.Module:
        time.sleep(0.004 * len(classes))  # type: ignore[arg-type]
        return nn.Identity()

    found = time_to_make(specialise, [[1], [1, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9]], threads=1)
    assert 8 <= found["median_ms"] < 16
    assert found["undisturbed_ms"] < 8  # it slept


def test_timings_cover_every_method_and_batch_size() -> None:
    found = measure_timings(
        nn.Identity(),
        {"projected": lambda classes: nn.Identity(), "static": lambda classes: nn.Identity()},
        tasks=[[0, 1]],
        classes=[0, 1],
        objective=OBJECTIVE,
        config=LatencyConfig(batch_sizes=(1, 2), threads=1, repeats=5),
    )
    assert {name: list(sizes) for name, sizes in found["latency"].items()} == {
        "teacher": ["1", "2"],
        "projected": ["1", "2"],
        "static": ["1", "2"],
    }
    assert found["sampling"] == {}  # classifiers draw no images
    assert found["num_classes"] == 2
    assert found["make_one_model"].keys() == {"projected", "static"}


def test_students_of_a_comparison_are_timed_against_the_teacher_that_is_no_table() -> None:
    calls: list[tuple[str, int, int, bool]] = []
    students = {"1x": Sleeper("1x", 0.002, calls), "4x": Sleeper("4x", 0.004, calls)}
    config = LatencyConfig(batch_sizes=(1, 3), threads=1, repeats=5)
    found = compare_timings(Sleeper("teacher", 0.008, calls), students, OBJECTIVE, config)

    assert (found["threads"], found["sampling"]) == (1, {})  # classifiers draw nothing
    assert {table: list(by_size) for table, by_size in found["latency"].items()} == {"1x": ["1", "3"], "4x": ["1", "3"]}
    for by_size in found["latency"].values():
        for measured in by_size.values():
            assert measured["speedup"] == pytest.approx(measured["teacher_ms"] / measured["student_ms"], rel=0.01)
    assert found["latency"]["1x"]["3"]["student_ms"] < found["latency"]["4x"]["3"]["student_ms"]
