"""Tasks as people write them: names between commas or on lines, and tables of them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projpipe.commands.output import LISTING, unquote_cell
from projpipe.errors import InputError
from projpipe.projection.projector_manifest import find_classes
from projpipe.record import regular_file

ROWS_AT_ONCE = 256  # of a Parquet file, whose cells may each unpack to much
LONGEST_NAME = 200  # of a folder, in bytes: file systems take 255


@dataclass(frozen=True)
class NamedTask:
    """A task, what it is called, and the folder of its model."""

    name: str
    folder: str
    classes: list[str]


def parse_names(text: str, place: str) -> list[str]:
    """Class names between commas, as in a line of CSV: one that holds a comma stands in double quotes.

    Raises:
        InputError: a quote is not closed, or something follows it; `place` says where.
    """
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(f"{place}: {text[:60]!r} is no list of names ({error}); put commas between them") from error
    return [name.strip() for row in rows for name in row if name.strip()]


def format_names(names: Sequence[str]) -> str:
    """Class names as `parse_names` reads them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def read_names(path: Path) -> list[str]:
    """Class names of a text file, one a line; empty lines are passed over.

    Raises:
        InputError: the file is no text in UTF-8.
    """
    try:
        file = regular_file(path)
    except OSError as error:
        raise InputError(f"--classes-file: {path} is no regular file; give one, no pipe") from error
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--classes-file: {path} is no text in UTF-8 ({error}); save it as one") from error
    return [line.strip() for line in lines if line.strip()]


def read_tasks(path: Path, known: Sequence[str], fewest: int) -> list[NamedTask]:
    """The tasks of a CSV or Parquet file, in its order.

    The file has the columns `name` and `classes`; a Parquet file may have `class_ids`, as the project's own tables of
    tasks do, instead of `classes`.

    Args:
        known: the classes of the projector.
        fewest: classes that a task may have.

    Raises:
        InputError: the file cannot be read, lacks a column or has no row; a name makes no folder, or the same as
            another; the projector does not know a class. Names the file and the task.
    """
    rows = _parquet_rows(path, known) if path.suffix == ".parquet" else _csv_rows(path)
    taken = {LISTING}
    tasks = []
    for number, (name, classes) in enumerate(rows, start=1):
        place = f"--tasks: {path}, task {number}"
        folder = _folder(name, place)
        if folder.casefold() in taken:
            raise InputError(f"{place}: {name!r} makes the folder {folder!r}, which is taken; rename it")
        try:
            find_classes(known, classes, fewest)
        except InputError as error:
            raise InputError(f"{place}, {name!r}: {error}") from error
        taken.add(folder.casefold())
        tasks.append(NamedTask(name, folder, classes))
    if not tasks:
        raise InputError(f"--tasks: {path} holds no task; give a row for each")
    return tasks


def _folder(name: str, place: str) -> str:
    """A name as that of a folder: what a path could be made of becomes an underscore."""
    folder = re.sub(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]', "_", unicodedata.normalize("NFC", name.strip()))
    if not folder or folder.startswith(".") or len(folder.encode()) > LONGEST_NAME:
        raise InputError(
            f"{place}: name {name[:60]!r} makes no folder; give 1 to {LONGEST_NAME} bytes that do not start with a dot"
        )
    return folder


def _csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        with regular_file(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or [], {"name", "classes"})
            for number, row in enumerate(reader, start=1):
                place = f"--tasks: {path}, task {number}"
                if None in row:
                    raise InputError(f"{place}: has more cells than the header; put its classes in double quotes")
                name, classes = (unquote_cell(row[column] or "") for column in ("name", "classes"))
                yield name, parse_names(classes, place)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--tasks: {path} is no CSV file in UTF-8 ({error}); save it as one") from error


def _parquet_rows(path: Path, known: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        fix = "`pip install pyarrow`, or give a CSV file"
        raise InputError(f"--tasks: {path}: reading Parquet takes pyarrow; {fix}") from error
    try:
        with parquet.ParquetFile(regular_file(path)) as file:
            columns = file.schema_arrow.names
            column = "classes" if "classes" in columns else "class_ids"
            _check_columns(path, columns, {"name", column})
            batches = file.iter_batches(ROWS_AT_ONCE, columns=["name", column])
            rows = (row for batch in batches for row in batch.select(["name", column]).to_pylist())
            for number, row in enumerate(rows, start=1):
                yield _of_parquet(row["name"], row[column], column, known, f"--tasks: {path}, task {number}")
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"--tasks: {path} is no Parquet file ({error}); write it again") from error


def _of_parquet(name: Any, given: Any, column: str, known: Sequence[str], place: str) -> tuple[str, list[str]]:
    """Name and classes of a task, out of the cells of its row; `column` says which the second is of."""
    if isinstance(given, str):
        given = parse_names(given, place)
    if not isinstance(given, list):
        raise InputError(f"{place}: {column} {given!r} is no list; give one")
    names = given if column == "classes" else [_class_name(one, known, place) for one in given]
    return "" if name is None else str(name), [str(name) for name in names]


def _class_name(class_id: Any, known: Sequence[str], place: str) -> str:
    if type(class_id) is not int or not 0 <= class_id < len(known):
        raise InputError(
            f"{place}: class_ids: {class_id!r} is not a class of this projector; it has 0 to {len(known) - 1}"
        )
    return known[class_id]


def _check_columns(path: Path, columns: Sequence[str], wanted: set[str]) -> None:
    if missing := wanted - set(columns):
        raise InputError(f"--tasks: {path} lacks the column {min(missing)!r}; it has {', '.join(columns) or 'none'}")
