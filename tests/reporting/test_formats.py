import copy
from typing import Any

from projpipe.reporting.formats import busy, count, latencies_of, percent, times_faster
from projpipe.students.elapsed import milliseconds


def test_numbers_are_written_for_people() -> None:
    assert percent(0.97149) == "97.1"
    assert [count(n) for n in (950, 15_400, 1_234_567, 2.5e9, 4.5e12, 1e15)] == [
        "950",
        "15.4 k",
        "1.23 M",
        "2.5 G",
        "4.5 T",
        "1 P",
    ]


def test_a_time_is_one_figure_on_a_quiet_machine_and_a_range_on_a_busy_one(either: Any) -> None:
    timings = copy.deepcopy(either.measured["timings"])
    measured = timings["latency"]["teacher"]["32"]
    measured.update(median_ms=21.21, undisturbed_ms=19.0, speedup=20.6, undisturbed_speedup=20.0)
    assert (milliseconds(measured), times_faster(measured), busy(timings)) == ("21.21", "20.6", False)
    measured.update(undisturbed_ms=12.85, undisturbed_speedup=12.2)
    assert (milliseconds(measured), times_faster(measured), busy(timings)) == ("12.85 to 21.21", "12.2 to 20.6", True)
    measured["undisturbed_speedup"] = 50.0
    assert times_faster(measured) == "20.6 to 50.0"


def test_making_a_model_beside_other_programs_is_busy_too(either: Any) -> None:
    timings = copy.deepcopy(either.measured["timings"])
    timings["make_one_model"]["static"]["undisturbed_ms"] = 1.0
    assert busy(timings)


def test_sampling_is_among_the_latencies_where_there_is_any(either: Any) -> None:
    found = latencies_of(either.measured["timings"], "static")
    assert list(found) == ["batch 1", "batch 32", *["sampling"] * (either.metric.name == "bits_per_pixel")]
    assert found["batch 32"] == either.measured["timings"]["latency"]["static"]["32"]
