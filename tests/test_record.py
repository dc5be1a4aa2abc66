"""Objects come back from JSON as they were, and what is wrong is named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projpipe.errors import InputError
from projpipe.record import LARGEST, Bounds, from_json, read_json, to_json


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


@dataclass(frozen=True)
class Model:
    depth: Annotated[int, Bounds(1, 64)] = 1
    names: Annotated[Sequence[str], Bounds(1, 3)] = ("a",)
    pool: Literal["avg", ""] = "avg"
    size: int | tuple[int, int] | None = None
    rate: float = 0.5


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"depth": 0}, r"^model\.depth: 0 is not in 1\.\.64$"),
        ({"depth": 10**30}, r"is not in 1\.\.64"),
        ({"depth": True}, "true is not a whole number"),
        ({"names": []}, r"a length of 0 is not in 1\.\.3"),
        ({"names": ["a"] * 4}, r"a length of 4 is not in 1\.\.3"),
        ({"pool": "max"}, 'pool: "max" is none of "avg", ""'),
        ({"pool": 0}, "pool: 0 is none of"),
        ({"size": [1]}, "size: 1 values are not 2"),
        ({"rate": float("nan")}, "rate: NaN is not a number"),
        ({"rate": float("inf")}, "rate: Infinity is not a number"),
        ({"rate": 10**400}, "rate: 10000.* is not a number"),
        ({"rate": [[0] * 10**6]}, r"rate: \[\[0, 0.{1,40} is not a number"),
        ({"colour": 1}, r"^model\.colour: is not known$"),
    ],
)
def test_what_is_out_of_bounds_or_not_known_is_named(described: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_json(Model, described, "model", exact=True)


def test_a_value_may_be_one_of_several() -> None:
    sizes = [from_json(Model, {"size": size}).size for size in (None, 3, [1, 2])]
    assert sizes == [None, 3, (1, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": [1e999]}', "Infinity is not a number"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('{"\\ud800": 1}', "surrogates not allowed"),
        ("[" * 30 + "]" * 30, "more than 20 deep"),
        ("[" * 10**5, "more than 20 deep"),
        ("[" + "1," * LARGEST, "bytes are more than"),
        ("\xff", "Expecting value"),
    ],
)
def test_json_that_could_not_be_written_again_or_is_too_large_is_refused(
    content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "file.json")
