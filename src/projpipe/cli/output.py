"""Where a command may write, and how it shows what it found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from projpipe.errors import InputError

MARKS = ("manifest.json", "models.csv")  # one of them is in every folder that projpipe writes


def check_out(out: Path, force: bool) -> None:
    """Refuse a folder that is there already, and with `force` one that projpipe did not write.

    Raises:
        InputError: says how to go on.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not force:
        raise InputError(f"--out: {out} exists; choose another folder, or replace it with --force")
    ours = out.is_dir() and not out.is_symlink()
    if not ours or (any(out.iterdir()) and not any((out / mark).is_file() for mark in MARKS)):
        raise InputError(
            f"--out: {out} holds no models of projpipe, so that --force does not replace it; choose another"
        )


def show(content: Any, as_json: bool, rows: Sequence[Sequence[str]]) -> None:
    """Print JSON, or else a table: its columns are as wide as they need to be, and those of numbers stand right."""
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
