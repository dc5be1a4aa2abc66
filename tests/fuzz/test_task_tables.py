"""Whatever a table of tasks holds, it is read, twice the same, or refused in one line."""

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from makers import is_one_short_line, within_limits
from projpipe.commands.output import quote_cell
from projpipe.commands.task_list import NamedTask, read_tasks
from projpipe.errors import InputError

CLASSES = ["a", "b", "Größe", "x, y", 'a "quote"', "=1+1", "'-c", "\x1b[31mred"]
WORDS = st.sampled_from([*CLASSES, "", " ", "a,b", "name", "classes", "class_ids", '"', "'", "\x00", "x" * 300])
TEXT = WORDS | st.text(max_size=12)
NAME = st.text("abcdefghijklmnop=+-@ÄÖ名", min_size=4, max_size=12)
SEVERAL = st.lists(st.sampled_from(CLASSES), min_size=2, max_size=4, unique=True)
IDS = st.lists(st.integers(0, len(CLASSES) - 1), min_size=2, max_size=4, unique=True)


def often(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The first, nine times of ten."""
    return st.integers(0, 9).flatmap(lambda drawn: other if drawn == 9 else usual)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def read_or_refused(path: Path) -> list[NamedTask] | InputError:
    try:
        return read_tasks(path, CLASSES, 2)
    except InputError as error:
        return error


def check(path: Path) -> None:
    """That a table is read twice the same, and its tasks have folders of their own and known classes, or refused."""
    with within_limits():
        found = read_or_refused(path)
    if isinstance(found, InputError):
        event("refused")
        assert str(found).startswith("--tasks: ")
        assert is_one_short_line(str(found))
        return
    event("accepted")
    assert read_or_refused(path) == found
    assert len({task.folder.casefold() for task in found}) == len(found) >= 1
    assert all(Path(task.folder).name == task.folder and not task.folder.startswith(".") for task in found)
    assert all(set(task.classes) <= set(CLASSES) and len(task.classes) >= 2 for task in found)


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """A table with the columns that are asked for or others, with cells of all kinds, at times with broken bytes."""
    header = draw(often(st.sampled_from([["name", "classes"], ["classes", "x", "name"]]), st.lists(TEXT)))
    cells = {"name": often(NAME.map(quote_cell), TEXT), "classes": often(SEVERAL.map(line).map(quote_cell), TEXT)}
    row = often(st.tuples(*(cells.get(column, TEXT) for column in header)), st.lists(TEXT, max_size=5))
    written = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(written, quoting=quoting).writerows([header, *draw(st.lists(row, max_size=6))])
    return mutated(draw, written.getvalue().encode(draw(often(st.just("utf-8-sig"), st.just("utf-16")))))


def line(names: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return written.getvalue()


def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """As it is most times, else with some bytes that are replaced or cut off."""
    if draw(st.integers(0, 3)):
        return content
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.binary(max_size=8)) + content[at + draw(st.sampled_from([0, 1, 8, 10**6])) :]


VALUES: list[st.SearchStrategy[Any]] = [
    TEXT,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=8),
    st.booleans(),
    st.datetimes(),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
    SEVERAL,
    st.lists(st.integers(-1, len(CLASSES)), max_size=4),
    st.lists(st.lists(TEXT, max_size=2), max_size=2),
    st.fixed_dictionaries({"a": TEXT}),
]


@st.composite
def parquet_files(draw: st.DrawFn) -> bytes:
    """A table whose columns are of any type, at times with broken bytes."""
    rows = draw(st.integers(0, 5))
    columns = {}
    for column in draw(often(st.sampled_from([["name", "classes"], ["class_ids", "x", "name"]]), st.just(["name"]))):
        usual = {"name": NAME, "classes": SEVERAL, "class_ids": IDS}.get(column, TEXT)
        values = draw(often(st.just(usual), st.sampled_from(VALUES)))
        some = draw(often(st.just(values), st.just(values | st.none())))
        columns[column] = draw(st.lists(some, min_size=rows, max_size=rows))
    written = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(cells) for name, cells in columns.items()}), written)
    return mutated(draw, written.getvalue())


@given(content=csv_files())
@example(content=b"")
@example(content=",".join(f"column{n}" for n in range(100_000)).encode())
@example(content=b"name,classes\n" + b"x" * 10**6 + b",a\n")
@example(content=b"name,classes\na," + 30_000 * b"a," + b"\n")
@example(content=b'name,classes\na,"' + 30_000 * b"a," + b'b"\n')
@example(content=b"name,classes\n" + b"".join(b'task %d,"a,b"\n' % n for n in range(20_000)))
def test_a_csv_file_is_read_or_refused_in_one_line(content: bytes, folder: Path) -> None:
    (folder / "tasks.csv").write_bytes(content)
    check(folder / "tasks.csv")


@given(content=parquet_files())
@example(content=b"PAR1")
def test_a_parquet_file_is_read_or_refused_in_one_line(content: bytes, folder: Path) -> None:
    (folder / "tasks.parquet").write_bytes(content)
    check(folder / "tasks.parquet")
