"""Typed objects out of JSON, and back to it. What is missing or of another type is refused by its name.

pydantic does as much for parameters; making a model, which reads such objects too, does without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from projpipe.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

LARGEST = 4 * 2**20  # bytes of a file of JSON
DEEPEST = 20  # lists and objects within each other
TOO_DEEP = f"lists and objects lie more than {DEEPEST} deep in each other"

NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Bounds:
    """The least and the most that a number may be, or that text, a list or an object may hold.

    Stands beside the type: `Annotated[int, Bounds(1, 64)]`.
    """

    low: float
    high: float


def regular_file(path: Path) -> Path:
    """A path that leads to a regular file; to open a pipe may take for ever, and a device may have no end.

    Raises:
        OSError: it leads to something else, or nowhere.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path.name} is no regular file")
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a regular file, in hexadecimal digits.

    Raises:
        OSError: it is none, or cannot be read.
    """
    with regular_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """The value that a file of JSON holds.

    Raises:
        OSError: it is no regular file, or cannot be read.
        ValueError: it is no JSON in UTF-8, larger than 4 MiB, or holds a number that is none, half a character, or
            lists and objects too deep in each other.
    """
    with regular_file(path).open("rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > LARGEST:
            raise ValueError(f"{size:,} bytes are more than {LARGEST:,}")
        content = file.read(LARGEST)
    try:
        value = json.loads(content.decode(), parse_constant=float)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    _check_plain(value)
    return value


def _check_plain(value: Any, depth: int = 0) -> None:
    """Refuse what could not be written again: numbers that are none, half characters, and what lies too deep."""
    if depth > DEEPEST:
        raise ValueError(TOO_DEEP)
    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(key)
            _check_plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, depth + 1)
    elif isinstance(value, str):
        value.encode()
    elif value is not None and not _is_finite(value):
        raise ValueError(f"{_shown(value)} is not a number")


def to_json(record: DataclassInstance) -> dict[str, Any]:
    """A dataclass as JSON values: a key for each field, in their order."""
    return json.loads(json.dumps(asdict(record)))


def from_json(kind: type[T], described: object, place: str = "", exact: bool = False) -> T:
    """An object of this type out of what `json.loads` gave: what `to_json` was given, where the type is a dataclass.

    Args:
        kind: a dataclass, or a mapping, sequence or tuple of them, text, numbers, booleans, literals and `object`,
            which is anything; each may be one of several (`int | None`), or have `Bounds`. A field with a default may
            be missing: older files lack what came later.
        place: where it stands, for errors.
        exact: refuse keys that are no field; else they are left alone.

    Raises:
        InputError: names the key, as in `tokens.image_size`, and says what is wrong with it.
    """
    return _read(kind, described, place, exact)


def _read(kind: Any, value: Any, place: str, exact: bool) -> Any:
    origin, of = get_origin(kind), get_args(kind)
    if kind is object:
        return value
    if origin is Annotated:
        return _within(of[1], _read(of[0], value, place, exact), place)
    if origin is Literal:
        return _one_of(of, value, place)
    if origin in (Union, UnionType):
        return _read_union(of, value, place, exact)
    if is_dataclass(kind):
        return _read_fields(kind, _checked(dict, value, place), place, exact)
    if origin in (dict, Mapping):
        items = _checked(dict, value, place).items()
        return {key: _read(of[1], item, _at(place, key), exact) for key, item in items}
    if origin in (tuple, Sequence):
        return _read_items(origin, of, _checked(list, value, place), place, exact)
    return _checked(kind, value, place)


def _read_union(of: Sequence[Any], value: Any, place: str, exact: bool) -> Any:
    if value is None and NoneType in of:
        return None
    *others, last = (one for one in of if one is not NoneType)
    for one in others:
        with suppress(InputError):
            return _read(one, value, place, exact)
    return _read(last, value, place, exact)


def _read_items(origin: Any, of: Sequence[Any], items: list[Any], place: str, exact: bool) -> Any:
    fixed = origin is tuple and of[-1] is not Ellipsis
    if fixed and len(items) != len(of):
        raise InputError(f"{place}: {len(items)} values are not {len(of)}")
    kinds = of if fixed else len(items) * (of[0],)
    read = [_read(one, item, f"{place}[{i}]", exact) for i, (one, item) in enumerate(zip(kinds, items, strict=True))]
    return tuple(read) if origin is tuple else read


def _read_fields(kind: Any, value: Mapping[str, Any], place: str, exact: bool) -> Any:
    hints = _hints(kind)
    for field in fields(kind):
        if field.name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{_at(place, field.name)}: is missing")
    if exact and (unknown := value.keys() - hints.keys()):
        raise InputError(f"{_at(place, min(unknown)[:40])}: is not known")
    given = [field.name for field in fields(kind) if field.name in value]
    return kind(**{name: _read(hints[name], value[name], _at(place, name), exact) for name in given})


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _checked(kind: type, value: Any, place: str) -> Any:
    """The value, when it is of this very type; a whole number is a number too, but `true` is none."""
    is_kind = type(value) is kind or (kind is float and type(value) is int)
    if not is_kind or (kind is float and not _is_finite(value)):
        raise InputError(f"{place}{': ' * bool(place)}{_shown(value)} is not {NAMES[kind]}")
    return value


def _is_finite(value: float) -> bool:
    return abs(value) <= sys.float_info.max


def _within(bounds: Bounds, value: Any, place: str) -> Any:
    number = type(value) in (int, float)
    if not bounds.low <= (value if number else len(value)) <= bounds.high:
        what = _shown(value) if number else f"a length of {len(value)}"
        raise InputError(f"{place}: {what} is not in {bounds.low:g}..{bounds.high:g}")
    return value


def _one_of(known: Sequence[object], value: Any, place: str) -> Any:
    if not any(type(value) is type(one) and value == one for one in known):
        raise InputError(f"{place}: {_shown(value)} is none of {', '.join(map(json.dumps, known))}")
    return value


def _shown(value: Any) -> str:
    """How a value starts."""
    return "".join(islice(json.JSONEncoder().iterencode(value), 40))[:40]


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
