"""Folders whose manifest vouches for every byte of them that is read, its own included."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from projpipe.errors import InputError

MANIFEST = "manifest.json"
FORMAT = 1
OTHERS = {  # kinds of folders, and what to do with one where another is asked for
    "model": "give the folder of the projector that made it",
    "projector": "make a model of it with `projpipe generate`",
}


def manifest_bytes(kind: str, described: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The manifest of a folder of this kind: what is described, and checksums of its files and of itself."""
    manifest = {"format": FORMAT, "kind": kind, **described}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest["sha256"] = {**checksums, MANIFEST: _own_checksum({**manifest, "sha256": checksums})}
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


def read_manifest(folder: Path, kind: str, names: Sequence[str], fix: str) -> dict[str, Any]:
    """The manifest of a folder, when none of its named files was changed since they were written.

    Raises:
        InputError: the folder is not there or of another kind, or a file is missing, truncated or changed; ends with
            `fix`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give that of a {kind}, or {fix}")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder} is no {kind}: {error}; {fix}") from error
    if (found := _kind(manifest)) != kind:
        raise InputError(_of_another_kind(folder, found, kind, fix))
    if manifest.get("format") != FORMAT:
        raise InputError(f"{folder / MANIFEST}: format {manifest.get('format')!r} is not {FORMAT}; {fix}")
    checksums = manifest.get("sha256")
    if not isinstance(checksums, dict):
        raise InputError(f"{folder / MANIFEST} was changed: it lacks its checksums; {fix}")
    expected = dict(checksums)
    if expected.pop(MANIFEST, None) != _own_checksum({**manifest, "sha256": expected}):
        raise InputError(f"{folder / MANIFEST} was changed: its checksum differs; {fix}")
    for name in names:
        try:
            checksum = _checksum(folder / name)
        except OSError as error:
            raise InputError(f"{folder} is no {kind}: {error}; {fix}") from error
        if checksum != checksums.get(name):
            raise InputError(f"{folder / name} is truncated or was changed: its checksum differs; {fix}")
    return manifest


def kind_of(folder: Path) -> str | None:
    """What the manifest of a folder says it is; None where there is none that can be read, or it says nothing."""
    try:
        return _kind(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None


def _kind(manifest: object) -> str | None:
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    return kind if isinstance(kind, str) else None


def _of_another_kind(folder: Path, found: str | None, kind: str, fix: str) -> str:
    if found in OTHERS:
        return f"{folder} is a {found} and no {kind}; {OTHERS[found]}"
    return f"{folder / MANIFEST} is not that of a {kind}; {fix}"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
