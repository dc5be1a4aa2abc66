"""Tasks as people write them: names between commas, and tables of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projpipe.errors import InputError

LONGEST_NAME = 120  # of a folder, in characters


@dataclass(frozen=True)
class NamedTask:
    """A task, what it is called, and the folder of its model."""

    name: str
    folder: str
    classes: list[str]


def parse_names(text: str) -> list[str]:
    """Class names between commas, as in a line of CSV: one that holds a comma stands in double quotes."""
    row = next(csv.reader([text], skipinitialspace=True), [])
    return [name.strip() for name in row if name.strip()]


def format_names(names: Sequence[str]) -> str:
    """Class names as `parse_names` reads them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def read_tasks(path: Path, known: Sequence[str]) -> list[NamedTask]:
    """The tasks of a CSV or Parquet file, in its order.

    Args:
        path: has the columns `name` and `classes`; a Parquet file may have `class_ids`, as the project's own tables of
            tasks do, in place of `classes`.
        known: names of the projector's classes, which class ids count.

    Raises:
        InputError: the file cannot be read, lacks a column or has no row; a name makes no
            folder, or the same as another.
    """
    rows = list(_parquet_rows(path, known) if path.suffix == ".parquet" else _csv_rows(path))
    if not rows:
        raise InputError(f"{path}: holds no task; give a row for each")
    tasks: dict[str, NamedTask] = {}
    for place, (name, classes) in enumerate(rows, start=1):
        folder = _folder(name, f"{path}, task {place}")
        if folder.casefold() in tasks:
            raise InputError(f"{path}, task {place}: {name!r} makes the folder {folder!r}, which is taken; rename it")
        tasks[folder.casefold()] = NamedTask(name, folder, classes)
    return list(tasks.values())


def _folder(name: str, place: str) -> str:
    """A name as that of a folder: what a path could be made of becomes an underscore."""
    folder = re.sub(r"[^\w .,()+=@#…-]", "_", name.strip())
    if not folder or folder.startswith(".") or len(folder) > LONGEST_NAME:
        raise InputError(
            f"{place}: name {name!r} makes no folder; give 1 to {LONGEST_NAME} characters that do not start with a dot"
        )
    return folder


def _csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or [], {"name", "classes"})
            for row in reader:
                yield row["name"] or "", parse_names(row["classes"] or "")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV file in UTF-8 ({error}); save it as one") from error


def _parquet_rows(path: Path, known: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputError(f"{path}: reading Parquet takes pyarrow; `pip install pyarrow`, or give a CSV file") from error
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: is no Parquet file ({error}); write it again") from error
    column = "classes" if "classes" in table.column_names else "class_ids"
    _check_columns(path, table.column_names, {"name", column})
    for row in table.select(["name", column]).to_pylist():
        yield str(row["name"] or ""), [_class_name(given, known, path) for given in row[column] or []]


def _class_name(given: Any, known: Sequence[str], path: Path) -> str:
    if not isinstance(given, int):
        return str(given)
    if not 0 <= given < len(known):
        raise InputError(f"{path}: class_ids: {given} is not a class of this projector; it has 0 to {len(known) - 1}")
    return known[given]


def _check_columns(path: Path, columns: Sequence[str], wanted: set[str]) -> None:
    if missing := wanted - set(columns):
        raise InputError(f"{path}: lacks the column {min(missing)!r}; it has {', '.join(columns) or 'none'}")
