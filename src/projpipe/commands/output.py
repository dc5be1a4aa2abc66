"""Where a command may write, and how it shows what it found."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from projpipe.atomic import write_atomically, write_resumably
from projpipe.errors import InputError, disk_problem, is_full, printable
from projpipe.manifest import EXAMPLES, KNOWN, MANIFEST, kind_of
from projpipe.students.elapsed import Elapsed, apart, milliseconds
from projpipe.transformer.spec import written

if TYPE_CHECKING:
    from projpipe.students.size_table import SizeTable

T = TypeVar("T")
LISTING = "models.csv"
COLUMNS = ["folder", "name", "classes"]
_ESCAPED = r"\\(?:[\\ntr]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"  # as `printable` writes it, or a backslash


@contextmanager
def output(
    out: Path, force: bool, ours: Callable[[Path], bool], foreign: str, kind: str, key: str | None = None
) -> Iterator[Path]:
    """A temporary path that becomes `out` when the body has ended well.

    Args:
        ours: whether what is there may be replaced with `force`; `foreign` says of it why it may not.
        kind: what `out` is, for errors.
        key: of a folder that takes long. The next command with the same key gets what one that was stopped has left.

    Raises:
        InputError: `out` is there already and not to be replaced, or it cannot be written.
    """
    try:
        free = _free(out, force, ours, foreign, kind)
        with write_resumably(free, key, force) if key else write_atomically(free, force) as temporary:
            yield temporary
    except OSError as error:
        if is_full(error):
            raise InputError(f"--out: {disk_problem(error, out)}") from error
        raise InputError(
            f"--out: {out} cannot be written ({error.strerror or error}); choose another {kind}"
        ) from error


def _free(out: Path, force: bool, ours: Callable[[Path], bool], foreign: str, kind: str) -> Path:
    if not out.exists() and not out.is_symlink():
        return out.resolve()
    if not force:
        raise InputError(f"--out: {out} exists; choose another {kind}, or replace it with --force")
    if out.is_symlink() or not ours(out):
        raise InputError(f"--out: {out} {foreign}, so that --force does not replace it; choose another {kind}")
    return out.resolve()


def holds_models(folder: Path) -> bool:
    """Whether a folder is that of a model or of many, and holds nothing else."""
    return _is_model(folder) or _is_listing(folder)


def holds_projector(folder: Path) -> bool:
    """Whether a folder is that of a projector and holds nothing else but for examples."""
    return kind_of(folder) == "projector" and _names(folder) <= {MANIFEST, EXAMPLES, *KNOWN["projector"]}


def _is_model(folder: Path) -> bool:
    """Whether a folder is that of a model and holds nothing else."""
    return kind_of(folder) == "model" and _names(folder) <= {MANIFEST, *KNOWN["model"]}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _is_listing(folder: Path) -> bool:
    """Whether a folder is one of many models and holds nothing else."""
    if not (folder / LISTING).is_file():
        return False
    with (folder / LISTING).open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            header, *rows = list(csv.reader(file)) or [[]]
        except csv.Error:
            return False
    listed = {unquote_cell(row[0]) for row in rows if row}
    found = {path.name for path in folder.iterdir()} - {LISTING}
    return header == COLUMNS and found <= listed and all(_is_model(folder / name) for name in found)


def progress(items: Sequence[T], label: str, quiet: bool = False) -> AbstractContextManager[Iterable[T]]:
    """Items to go through, with a bar where there are several and standard error is a terminal, but if `quiet`."""
    hidden = quiet or len(items) < 2 or not sys.stderr.isatty()
    return click.progressbar(items, label=label, hidden=hidden, file=sys.stderr)


def show(content: Any, as_json: bool, rows: Sequence[Sequence[str]]) -> None:
    """Print JSON, or else a table whose columns are as wide as they need to be."""
    if as_json:
        click.echo(escaped(json.dumps(content, indent=2, ensure_ascii=False)))
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_sizes(table: SizeTable) -> None:
    """Print what was measured of a projector's sizes, numbers to the right, and mark the one that is recommended."""
    metric = table.measure
    rows = [["size", metric.heading, "parameters", "MACs", "bytes", "latency", ""]]
    for position, size in enumerate(table.sizes):
        numbers = [f"{number:,}" for number in (size.params, size.macs, size.file_bytes)]
        mark = "recommended" if position == table.recommended else ""
        score = f"{metric.text(size.score)} {metric.ends(size.interval)}"
        rows.append([written(size), score, *numbers, f"{milliseconds(size.latency, '.3g')} ms", mark])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [
        [row[0], *(cell.rjust(width) for cell, width in zip(row[1:6], widths[1:6], strict=True)), row[6]]
        for row in rows
    ]
    images = f"{table.batch} image{'s' * (table.batch > 1)}"
    threads = f"{table.threads} thread{'s' * (table.threads > 1)}"
    classes = f"{table.num_classes} class{'es' * (table.num_classes > 1)}"
    click.echo(f"Sizes (width x depth x heads x hidden units) of models for {classes}.")
    click.echo(printable(f"Latency of {images} with {threads} on {table.machine}:"))
    click.echo()
    show(None, False, aligned)


def say_if_busy(measured: Iterable[Elapsed]) -> None:
    """Say what a range of latency means, where one of those measured is a range."""
    if any(apart(one["undisturbed_ms"], one["median_ms"]) for one in measured):
        said = "Other programs ran meanwhile: latency is a range, from what leaves them out to what the clock said."
        click.echo(said, err=True)


def escaped(text: str) -> str:
    """JSON that means the same, and of which a terminal shows every character."""
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def quote_cell(text: str) -> str:
    """Free text as a cell of a table that no spreadsheet runs and any terminal shows; `unquote_cell` gives it back."""
    if not text.isprintable():
        return "'\\" + printable(text.replace("\\", "\\\\"))
    return f"'{text}" if re.match(r"'*[=+\-@]|'+\\", text) else text


def unquote_cell(cell: str) -> str:
    """What `quote_cell` was given; a cell that it would have quoted, and that is not, stays as it is."""
    if cell.startswith("'\\"):
        return re.sub(_ESCAPED, lambda found: found[0].encode().decode("unicode_escape"), cell[2:])
    return cell[1:] if re.match(r"'+[=+\-@\t\r]|''+\\", cell) else cell
