from typing import Any

from projpipe.reporting.formats import count, latencies_of, percent


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


def test_sampling_is_among_the_latencies_where_there_is_any(either: Any) -> None:
    found = latencies_of(either.measured["timings"], "static")
    assert list(found) == ["batch 1", "batch 32", *["sampling"] * (either.metric.name == "bits_per_pixel")]
    assert found["batch 32"] == either.measured["timings"]["latency"]["static"]["32"]
