"""Objects come back from JSON as they were, and what is wrong is named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projpipe.errors import InputError
from projpipe.record import from_json, to_json


@dataclass(frozen=True)
class Point:
    x: float
    y: int


@dataclass(frozen=True)
class Drawing:
    name: str
    size: tuple[int, int]
    points: tuple[Point, ...]
    closed: bool
    colours: Mapping[str, Sequence[float]]
    note: str | None
    anything: object


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.builds(Point, NUMBERS, st.integers())
DRAWINGS = st.builds(
    Drawing,
    st.text(),
    st.tuples(st.integers(), st.integers()),
    st.lists(POINTS).map(tuple),
    st.booleans(),
    st.dictionaries(st.text(), st.lists(NUMBERS)),
    st.none() | st.text(),
    st.recursive(st.none() | st.integers(), st.lists),
)
DESCRIBED: dict[str, Any] = {
    "name": "a",
    "size": [1, 2],
    "points": [{"x": 1.5, "y": 2}],
    "closed": False,
    "colours": {"red": [1.0]},
    "note": None,
    "anything": 3,
}


@given(DRAWINGS)
def test_what_is_written_is_what_is_read(drawing: Drawing) -> None:
    written = json.loads(json.dumps(to_json(drawing)))
    assert list(written) == ["name", "size", "points", "closed", "colours", "note", "anything"]
    assert from_json(Drawing, written) == drawing


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_missing_key_is_named(name: str) -> None:
    described = {key: value for key, value in DESCRIBED.items() if key != name}
    with pytest.raises(InputError, match=rf"^{name}: is missing$"):
        from_json(Drawing, described)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: 3 is not text"),
        ({"size": [1]}, "size: 1 values are not 2"),
        ({"size": [1, 2.5]}, r"size\[1\]: 2.5 is not a whole number"),
        ({"size": "ab"}, 'size: "ab" is not a list'),
        ({"points": [{"x": 1.0}]}, r"points\[0\]\.y: is missing"),
        ({"points": [{"x": True, "y": 1}]}, r"points\[0\]\.x: true is not a number"),
        ({"points": [[1.0, 2]]}, r"points\[0\]: \[1.0, 2\] is not an object"),
        ({"closed": 0}, "closed: 0 is not true or false"),
        ({"colours": {"red": ["x"]}}, r'colours\.red\[0\]: "x" is not a number'),
        ({"note": 1}, "note: 1 is not text"),
    ],
)
def test_another_type_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_json(Drawing, DESCRIBED | change)


def test_a_whole_number_is_a_number_and_other_keys_are_left_alone() -> None:
    assert from_json(Point, {"x": 1, "y": 2, "kind": "point"}) == Point(1, 2)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InputError, match=r"^\[1\] is not an object$"):
        from_json(Point, [1])
