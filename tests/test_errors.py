"""A name that does not exist is answered with those it may stand for."""

import pytest

from projpipe.errors import InputError, causes, did_you_mean

FRUIT = ["apple", "apples", "pear", "plum"]


@pytest.mark.parametrize(
    ("wrong", "asked", "hint"),
    [
        ("aple", {}, "did you mean 'apple'?"),
        ("aple", {"count": 2}, "did you mean 'apple' or 'apples'?"),
        ("xyz", {}, "there is fruit"),
        ("applxyz", {"cutoff": 0.8}, "there is fruit"),
        ("xyz", {"cutoff": 0.0, "count": 4}, "did you mean"),
        (None, {}, "there is fruit"),
    ],
)
def test_the_nearest_names_are_given_where_there_are_any(wrong: object, asked: dict[str, float], hint: str) -> None:
    assert did_you_mean(wrong, iter(FRUIT), "there is fruit", **asked).startswith(hint)


def test_the_causes_of_an_error_are_told_from_the_last_to_the_first() -> None:
    last, second, first = RuntimeError("last"), InputError("second"), OSError("first")
    last.__cause__, second.__cause__ = second, first
    assert list(causes(last)) == [last, second, first]
