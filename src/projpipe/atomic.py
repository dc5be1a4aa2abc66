"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what the body writes there, a file or a folder, then takes its place.

    If the body fails, `path` stays as it was and nothing is left behind. Missing parent folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        written = Path(scratch) / path.name
        yield written
        if path.is_dir():
            # A folder cannot be replaced in one step: move the old one aside first, and drop it with the scratch.
            shutil.move(path, Path(scratch) / "replaced")
        os.replace(written, path)
