"""Tasks as people write them."""

import os
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from makers import within_limits
from projpipe.commands.output import quote_cell, unquote_cell
from projpipe.commands.task_list import NamedTask, format_names, parse_names, read_names, read_tasks
from projpipe.errors import LONGEST, InputError
from projpipe.projection.projector_manifest import find_classes

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Sneaker,Bag", ["Sneaker", "Bag"]),
        (' Sneaker , "Bags, small", Größe,', ["Sneaker", "Bags, small", "Größe"]),
        ('"a ""quote""",b', ['a "quote"', "b"]),
        ("", []),
    ],
)
def test_names_stand_between_commas(text: str, names: list[str]) -> None:
    assert parse_names(text, "--classes") == names


@given(st.lists(NAMES, min_size=1))
def test_names_are_read_as_they_were_written(names: list[str]) -> None:
    assert parse_names(format_names(names), "here") == names


def test_a_csv_file_holds_a_task_a_row(tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text(
        'name,note,classes\nshoes,x,"Sneaker,Boot"\nÄÖ: a/b,,"""Bags, small"",Coat"\n', encoding="utf-8-sig"
    )
    assert read_tasks(path, ["Sneaker", "Boot", "Bags, small", "Coat"], 2) == [
        NamedTask("shoes", "shoes", ["Sneaker", "Boot"]),
        NamedTask("ÄÖ: a/b", "ÄÖ_ a_b", ["Bags, small", "Coat"]),
    ]


@pytest.mark.parametrize("column", [{"class_ids": [[0, 2], [1, 2]]}, {"classes": [["a", "c"], ["b", "c"]]}])
def test_a_parquet_file_names_classes_or_counts_them(column: dict, tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    pd.DataFrame({"task_id": [0, 1], "name": ["one", "two"], **column}).to_parquet(path)
    assert read_tasks(path, ["a", "b", "c"], 2) == [
        NamedTask("one", "one", ["a", "c"]),
        NamedTask("two", "two", ["b", "c"]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,classes\n", "holds no task"),
        ("", "lacks the column 'classes'; it has none"),
        ('title,classes\na,"b,c"\n', "lacks the column 'name'; it has title, classes"),
        ('name,classes\n../../evil,"b,c"\n', r"task 1: name '../../evil' makes no folder"),
        ('name,classes\n.hidden,"b,c"\n', "task 1: name '.hidden' makes no folder"),
        ('name,classes\n,"b,c"\n', "task 1: name '' makes no folder"),
        (f'name,classes\n{"名" * 80},"b,c"\n', "makes no folder; give 1 to 200 bytes"),
        ('name,classes\nmodels.csv,"b,c"\n', "makes the folder 'models.csv', which is taken"),
        ('name,classes\na,"b,d"\n', "task 1, 'a': classes: 'd' is not a class of this projector"),
        ('name,classes\na,"b,b"\n', "task 1, 'a': classes: 'b' stands there twice"),
        ("name,classes\na,b,c\n", "task 1: has more cells than the header; put its classes in double quotes"),
        ('name,classes\na,"""b"" x,c"\n', "task 1: .* is no list of names"),
        ('name,classes\na/b,"b,c"\nA:B,"b,c"\n', "task 2: 'A:B' makes the folder 'A_B', which is taken"),
        ('name,classes\n"a,b\n', "is no CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_tasks(path, ["b", "c"], 2)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    for name, message in (("tasks.parquet", "is no Parquet file"), ("tasks.csv", "is no CSV file in UTF-8")):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00 nothing")
        with pytest.raises(InputError, match=message):
            read_tasks(tmp_path / name, [], 2)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"class_ids": [[0, 7]]}, "class_ids: 7 is not a class of this projector; it has 0 to 2"),
        ({"class_ids": [3]}, "task 1: class_ids 3 is no list"),
        ({"classes": [None]}, "task 1: classes None is no list"),
        ({"classes": [[1, 2]]}, "task 1, 'a': classes: '1' is not a class"),
    ],
)
def test_a_parquet_file_of_something_else_is_refused(column: dict, message: str, tmp_path: Path) -> None:
    pd.DataFrame({"name": ["a"], **column}).to_parquet(tmp_path / "tasks.parquet")
    with pytest.raises(InputError, match=message):
        read_tasks(tmp_path / "tasks.parquet", ["a", "b", "c"], 2)


def test_names_that_differ_in_signs_and_marks_get_folders_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text('name,classes\n\U0001f45f,"b,c"\n\U0001f45c,"b,c"\ne\u0301,"b,c"\n', encoding="utf-8")
    assert [task.folder for task in read_tasks(path, ["b", "c"], 2)] == ["\U0001f45f", "\U0001f45c", "\xe9"]


@pytest.mark.parametrize("text", ['"Sneaker,Bag', '"Sneaker"x,Bag', "Sneaker,Bag\nCoat"])
def test_what_is_no_list_of_names_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--classes: .* is no list of names .*; put commas between them"):
        parse_names(text, "--classes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",".join(f"column{n}" for n in range(100_000)) + "\n", "lacks the column 'classes'; it has column0, "),
        ("name,classes\n" + "x" * 100_000 + ',"b,c"\n', "task 1: name 'xxx.* makes no folder"),
        ("name,classes\n" + "x" * 10**6 + ',"b,c"\n', "is no CSV file in UTF-8 .field larger than field limit"),
        ('name,classes\na,"b,' + "d" * 100_000 + '"\n', "'ddd"),
    ],
    ids=["columns", "name", "megabyte", "class"],
)
def test_what_is_too_long_is_one_short_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_tasks(path, ["b", "c"], 2)
    assert len(str(error.value)) <= LONGEST


def test_a_parquet_file_whose_text_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    pd.DataFrame({"name": ["QQQQ"], "classes": [["b", "c"]]}).to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xfd\xfc"))
    with pytest.raises(InputError, match="is no Parquet file .*can't decode byte 0xff"):
        read_tasks(path, ["b", "c"], 2)


def test_of_a_parquet_file_no_more_is_unpacked_than_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "tasks.parquet"
    pd.DataFrame({"name": ["x" * 10**5] * 2000, "classes": "b,c"}).to_parquet(path)
    assert path.stat().st_size < 10**6  # and 200 MB
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="task 1: name 'xxx"):
            read_tasks(path, ["b", "c"], 2)
        assert tracemalloc.get_traced_memory()[1] < 6 * 10**7
    finally:
        tracemalloc.stop()


def test_tens_of_thousands_of_names_take_no_longer_than_they_are_long() -> None:
    with within_limits(), pytest.raises(InputError, match="'b' stands there twice"):
        find_classes(["a", "b"], ["a"] + 65_000 * ["b"], fewest=2)


@pytest.mark.parametrize("name", ["tasks.csv", "tasks.parquet"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is no regular file"):
        read_tasks(tmp_path / name, ["b", "c"], 2)
    with pytest.raises(InputError, match="--classes-file: .* is no regular file; give one, no pipe"):
        read_names(tmp_path / name)


@pytest.mark.parametrize("name", ["tasks[1]?.csv", "tasks[1]?.parquet"])
def test_a_file_may_have_a_name_that_looks_like_a_pattern(name: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a"], "classes": ["b,c"]})
    table.to_csv(tmp_path / name) if name.endswith("csv") else table.to_parquet(tmp_path / name)
    assert read_tasks(tmp_path / name, ["b", "c"], 2) == [NamedTask("a", "a", ["b", "c"])]


@given(st.text())
@example("'\\x1b")
@example("\\\x1b'\\\\x1b\n")
def test_a_cell_is_read_back_as_it_was_and_holds_nothing_that_a_spreadsheet_or_a_terminal_obeys(text: str) -> None:
    cell = quote_cell(text)
    assert unquote_cell(cell) == text
    assert cell[:1] not in {*"=+-@"}
    assert cell.isprintable()


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "'=x", "''-x", "'x", "x", r"\x1b"])
def test_a_name_that_a_spreadsheet_would_run_is_quoted_and_read_back(name: str) -> None:
    assert unquote_cell(quote_cell(name)) == name
    assert (quote_cell(name) == name) == (name in ("'x", "x", r"\x1b"))
