"""What a model may cost, and the choice of a size that is within it."""

from collections.abc import Callable, Sequence

import pytest

from makers import CLASSIFIER
from projpipe.errors import InputError
from projpipe.students.elapsed import Elapsed
from projpipe.students.limits import CANDIDATES, Limits, fast_enough, within_counts
from projpipe.transformer.spec import TransformerSpec

LARGEST = CLASSIFIER.resized(16, 2, 4, 32)
MIDDLE, SMALL = LARGEST.resized(12, 2, 4, 12), LARGEST.resized(8, 1, 2, 8)
BEST_FIRST = [MIDDLE, LARGEST, SMALL]


def never(size: TransformerSpec) -> float:
    raise AssertionError(f"{size} was measured")


def choose(
    candidates: Sequence[TransformerSpec], limits: Limits, latency_ms: Callable[[TransformerSpec], float]
) -> tuple[TransformerSpec, float | None]:
    """The size for three classes, and its latency, on a machine where no other program runs."""

    def latency(size: TransformerSpec) -> Elapsed:
        taken = latency_ms(size)
        return Elapsed(median_ms=taken, undisturbed_ms=taken)

    size, measured = fast_enough(within_counts(candidates, 3, limits), limits, latency)
    return size, None if measured is None else measured["median_ms"]


def test_the_best_size_within_limits_is_chosen() -> None:
    candidates = BEST_FIRST
    assert choose(candidates, Limits(), never) == (MIDDLE, None)
    assert choose(candidates, Limits(max_parameters=SMALL.deployed_params(3)), never) == (SMALL, None)
    assert choose(candidates, Limits(max_macs=MIDDLE.deployed_macs(3) - 1), never) == (SMALL, None)
    takes = {MIDDLE: 3.0, LARGEST: 4.0, SMALL: 1.0}
    assert choose(candidates, Limits(max_latency_ms=2), takes.__getitem__) == (SMALL, 1.0)
    assert choose(candidates, Limits(max_latency_ms=3.1), takes.__getitem__) == (MIDDLE, 3.0)
    assert choose(candidates, Limits(max_latency_ms=3.01), takes.__getitem__) == (SMALL, 1.0)  # too close to it
    of_two = Limits(max_parameters=SMALL.deployed_params(3), max_latency_ms=3)
    assert choose(candidates, of_two, {SMALL: 2.0}.__getitem__) == (SMALL, 2.0)  # the others are not even measured


def test_a_size_that_was_fast_once_by_luck_is_not_chosen() -> None:
    taken = {MIDDLE: iter([1.9, 2.2]), LARGEST: iter([1.8, 1.9]), SMALL: iter([])}
    found = choose(BEST_FIRST, Limits(max_latency_ms=2), lambda size: next(taken[size]))
    assert found == (LARGEST, 1.9)


def test_of_many_sizes_some_are_measured_the_first_and_the_last_among_them() -> None:
    candidates = [LARGEST.resized(16, 2, 4, hidden) for hidden in range(232, 32, -2)]
    measured: list[TransformerSpec] = []

    def latency_ms(size: TransformerSpec) -> float:
        measured.append(size)
        return 2.0 if size != candidates[-1] else 1.0

    assert choose(candidates, Limits(max_latency_ms=1.5), latency_ms) == (candidates[-1], 1.0)
    assert (measured[0], len(measured)) == (candidates[0], CANDIDATES + 1)
    fewer = Limits(max_parameters=candidates[50].deployed_params(3))
    assert choose(candidates, fewer, never) == (candidates[50], None)


def test_a_limit_that_no_size_meets_is_refused_with_the_nearest() -> None:
    candidates = BEST_FIRST
    least = SMALL.deployed_params(3)
    with pytest.raises(
        InputError, match=rf"^max-parameters: no size has 10 or fewer; the least is {least:,}, of 8x1x2x8$"
    ):
        choose(candidates, Limits(max_parameters=10), never)
    with pytest.raises(InputError, match=r"^max-macs: no size has 10 or fewer; the least is [\d,]+, of 8x1x2x8$"):
        choose(candidates, Limits(max_macs=10), never)
    takes = {MIDDLE: 3.0, LARGEST: 4.0, SMALL: 1.0}
    with pytest.raises(
        InputError, match=r"none of \d+ sizes takes 0.5 ms or less here.* the fastest takes 1 ms: 8x1x2x8$"
    ):
        choose(candidates, Limits(max_latency_ms=0.5), takes.__getitem__)


def test_beside_other_programs_the_fastest_that_is_named_is_a_range() -> None:
    busy = {size: Elapsed(median_ms=ms, undisturbed_ms=ms / 2) for size, ms in ((MIDDLE, 3.0), (SMALL, 1.0))}
    with pytest.raises(InputError, match=r"the fastest takes 0.5 to 1 ms: 8x1x2x8$"):
        fast_enough([MIDDLE, SMALL], Limits(max_latency_ms=0.5), busy.__getitem__)
    assert fast_enough([MIDDLE, SMALL], Limits(max_latency_ms=2), busy.__getitem__) == (SMALL, busy[SMALL])


def test_limits_are_read_as_people_write_them() -> None:
    assert Limits.of(size="24x2") == Limits(size=(24, 2))
    assert Limits.of(size="24x2x4x96").size == (24, 2, 4, 96)
    found = Limits.of(max_parameters="50k", max_macs="1.5M", max_latency="500us", batch=8, threads=2)
    assert found == Limits(None, 50_000, 1_500_000, 0.5, 8, 2)
    assert Limits.of(max_parameters=5000).max_parameters == 5000
    assert [Limits.of(max_latency=text).max_latency_ms for text in ("2ms", "1.5 s")] == [2.0, 1500.0]
    assert not Limits.of().any


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": "24"}, "size: '24' is no size; write width x depth as 24x2"),
        ({"size": "0x2"}, "size: '0x2' is no size"),
        ({"max_parameters": "many"}, "max-parameters: 'many' is no number of them; write it as 5000, 50k or 1.5M"),
        ({"max_parameters": 0}, "max-parameters: '0' is no number"),
        ({"max_macs": "1T"}, "max-macs: '1T' is no number"),
        ({"max_latency": "2"}, "max-latency: '2' is no time; write it with its unit, as 500us, 2ms or 1s"),
        ({"max_latency": "2 minutes"}, "max-latency: '2 minutes' is no time"),
        ({"max_latency": "0ms"}, "max-latency: '0ms' is no time"),
        ({"size": "24x2", "max_macs": 5}, "size: is one size, and limits choose among them"),
        ({"max_latency": "2ms", "threads": 0}, "threads: 0 is not in 1..1024"),
        ({"max_latency": "2ms", "batch": 10**6}, "batch: 1000000 is not in 1..65536"),
        ({"batch": 8}, "batch, threads: say how max-latency is measured; give it too, or leave them out"),
        ({"max_macs": 5, "threads": 1}, "batch, threads: say how max-latency is measured"),
    ],
)
def test_limits_that_cannot_be_read_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        Limits.of(**given)
    assert said in str(refused.value)
