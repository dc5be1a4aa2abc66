"""What is best depends on the direction of the measure."""

from projpipe.metric import ACCURACY, BITS_PER_PIXEL


def test_the_best_is_the_highest_or_the_lowest_and_of_several_the_first() -> None:
    values = {"a": 0.5, "b": 0.2, "c": 0.5, "d": 0.2}
    assert ACCURACY.best(values, lambda name: values[name]) == "a"
    assert BITS_PER_PIXEL.best(values, lambda name: values[name]) == "b"
