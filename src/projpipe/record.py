"""Typed objects out of JSON, and back to it. What is missing or of another type is refused by its name.

pydantic does as much for parameters; making a model, which reads such objects too, does without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from projpipe.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def to_json(record: DataclassInstance) -> dict[str, Any]:
    """A dataclass as JSON values: a key for each field, in their order."""
    return json.loads(json.dumps(asdict(record)))


def from_json(kind: type[T], described: object) -> T:
    """An object of this type out of what `json.loads` gave: what `to_json` was given, where the type is a dataclass.

    Args:
        kind: a dataclass, or a mapping, sequence or tuple of them, text, numbers, booleans and `object`, which is
            anything; each may be `| None`. Keys that are no field are left alone, and a field with a default may be
            missing: older files lack what came later.

    Raises:
        InputError: names the key, as in `tokens.image_size`, and says what is wrong with it.
    """
    return _read(kind, described, "")


def _read(kind: Any, value: Any, place: str) -> Any:
    origin, of = get_origin(kind), get_args(kind)
    if kind is object:
        return value
    if origin is UnionType:
        (some,) = (one for one in of if one is not NoneType)
        return None if value is None else _read(some, value, place)
    if is_dataclass(kind):
        return _read_fields(kind, _checked(dict, value, place), place)
    if origin in (dict, Mapping):
        return {key: _read(of[1], item, _within(place, key)) for key, item in _checked(dict, value, place).items()}
    if origin in (tuple, Sequence):
        items = _checked(list, value, place)
        exact = origin is tuple and of[-1] is not Ellipsis
        if exact and len(items) != len(of):
            raise InputError(f"{place}: {len(items)} values are not {len(of)}")
        kinds = of if exact else len(items) * (of[0],)
        read = [_read(one, item, f"{place}[{i}]") for i, (one, item) in enumerate(zip(kinds, items, strict=True))]
        return tuple(read) if origin is tuple else read
    return _checked(kind, value, place)


def _read_fields(kind: Any, value: Any, place: str) -> Any:
    hints = get_type_hints(kind)
    for field in fields(kind):
        if field.name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{_within(place, field.name)}: is missing")
    given = [field.name for field in fields(kind) if field.name in value]
    return kind(**{name: _read(hints[name], value[name], _within(place, name)) for name in given})


def _checked(kind: type, value: Any, place: str) -> Any:
    """The value, when it is of this very type; a whole number is a number too, but `true` is none."""
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise InputError(f"{place}{': ' * bool(place)}{json.dumps(value)[:40]} is not {NAMES[kind]}")


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
