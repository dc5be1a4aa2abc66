"""How numbers that are no scores are written and named for people; scores are written by their metric."""

from projpipe.evaluation.latency import Latency, SpeedUp, Timings
from projpipe.students.elapsed import apart, figure_or_range


def percent(share: float) -> str:
    """A share as per cent with one decimal: 0.9712 is '97.1'."""
    return f"{100 * share:.1f}"


def count(number: float) -> str:
    """A large number in three figures: 1234567 is '1.23 M'."""
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def latencies_of(timings: Timings, method: str) -> dict[str, Latency]:
    """The latencies of a method by what was timed: 'batch 1', 'batch 32', and 'sampling' where there is any."""
    by_batch = {f"batch {size}": measured for size, measured in timings["latency"][method].items()}
    return by_batch | ({"sampling": timings["sampling"][method]} if timings["sampling"] else {})


def times_faster(measured: Latency | SpeedUp) -> str:
    """How many times faster than the teacher: '5.1', on a busy machine '12.2 to 35.1'."""
    return figure_or_range(measured["undisturbed_speedup"], measured["speedup"], ".1f")


def busy(timings: Timings) -> bool:
    """Whether other programs took the processor while models were timed."""
    timed = [measured for method in timings["latency"] for measured in latencies_of(timings, method).values()]
    made = timings["make_one_model"].values()
    return any(apart(measured["undisturbed_ms"], measured["median_ms"]) for measured in (*timed, *made))
