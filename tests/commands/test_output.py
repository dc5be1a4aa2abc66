"""What commands write is there whole, and obeyed by nobody who shows it."""

import csv
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from projpipe.commands import generate
from projpipe.projection.projector import Projector

Command = Callable[..., Result]
RED = "\x1b[31mred"


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_list_has_no_cell_that_a_spreadsheet_or_a_terminal_obeys_and_is_read_back_as_a_table_of_tasks(
    projector: Projector, tmp_path: Path, projpipe: Command
) -> None:
    named = replace(projector, data={**projector.data, "classes": ["=1+1", RED, *projector.data["classes"][2:]]})
    named.save(tmp_path / "projector")
    table, out = tmp_path / "tasks.csv", tmp_path / "models"
    table.write_text(f'name,classes\n=cmd,"=1+1,Coat"\n@sum,"{RED},Coat"\n{RED},"{RED},Coat"\n')
    result = projpipe("generate", tmp_path / "projector", "--tasks", table, "--out", out)
    assert result.exit_code == 0, result.output
    with (out / "models.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell[0] in "=+-@" or not cell.isprintable()] == []
    assert sorted(path.name for path in out.iterdir()) == ["=cmd", "@sum", "_[31mred", "models.csv"]
    again = projpipe("generate", tmp_path / "projector", "--tasks", out / "models.csv", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert files_below(tmp_path / "again") == files_below(out)
    assert projpipe("generate", tmp_path / "projector", "--tasks", table, "--out", out, "--force").exit_code == 0


def test_a_full_disk_is_named_and_the_next_command_goes_on(
    folder: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = folder.parent / "tasks.csv", folder.parent / "models"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n1,"Coat,Bag"\n')
    asked = ["generate", folder, "--tasks", table, "--out", out]
    write = generate._write

    def write_one(projector: Path, student: object, model: Path, onnx: bool) -> None:
        if model.name == "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(model))
        write(projector, student, model, onnx)

    monkeypatch.setattr(generate, "_write", write_one)
    full = projpipe(*asked)
    assert full.exit_code == 2
    line = full.stderr.splitlines()[-1]
    assert line.startswith(f"Error: --out: {out}: the disk /")
    assert line.endswith("MB are free); make room, and run the same command again")
    assert not out.exists()

    monkeypatch.undo()
    made = (folder.parent / ".models.resumable/0/config.json").stat().st_mtime_ns
    assert projpipe(*asked).exit_code == 0
    assert (out / "0/config.json").stat().st_mtime_ns == made
    assert {path.name for path in out.iterdir()} == {"0", "1", "models.csv"}


def test_many_models_are_made_without_a_word_where_nobody_looks(folder: Path, projpipe: Command) -> None:
    table = folder.parent / "tasks.csv"
    table.write_text('name,classes\n0,"Sneaker,Bag"\n1,"Coat,Bag"\n')
    result = projpipe("generate", folder, "--tasks", table, "--out", folder.parent / "models")
    assert (result.exit_code, result.stderr) == (0, "")
