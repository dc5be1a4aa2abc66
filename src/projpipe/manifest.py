"""Folders whose manifest vouches for every byte of them that is read, its own included.

A manifest is a checksum, not a signature: it finds what was damaged or edited by chance. Whoever changes a folder on
purpose can write a manifest that fits, so that whatever is read is checked as if it came from a stranger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from projpipe.errors import InputError
from projpipe.record import LARGEST, file_sha256, read_json

MANIFEST = "manifest.json"
CARD = "README.md"  # in the manifest where there is one; older folders have one that is not
EXAMPLES = "examples"  # a folder of a projector's, of pictures named after their classes, which no manifest vouches for
FORMATS = {"model": 1, "projector": 2}  # by kind of folder; raised where older ones can no longer be read
CONFIG, WEIGHTS, TENSORS = "config.json", "model.safetensors", "projector.safetensors"
ONNX, INT8 = "model.onnx", "model.int8.onnx"  # of a model, if they were asked for
SIZES = "sizes.json"  # of a projector that makes many sizes, once they were measured
REQUIRED = {"model": (CONFIG, WEIGHTS), "projector": (TENSORS,)}  # by kind of folder, those without which it is none
KNOWN = {"model": (CARD, CONFIG, WEIGHTS, INT8, ONNX), "projector": (CARD, TENSORS, SIZES)}  # and all it may have
FIXES = {  # by kind of folder, what to do with one that cannot be read
    "model": "make it again with `projpipe generate`, or fetch it again",
    "projector": "train it again with `kedro run --pipelines train_projector`, or fetch it again",
}
OTHERS = {  # kinds of folders, and what to do with one where another is asked for
    "model": "give the folder of the projector that made it",
    "projector": "make a model of it with `projpipe generate`",
}


def files_of(folder: Path, kind: str) -> list[Path]:
    """The manifest of a folder of this kind, and those of the files it may have that are there."""
    return [path for path in (folder / name for name in (MANIFEST, *KNOWN[kind])) if path.is_file()]


def manifest_bytes(kind: str, described: Mapping[str, object], files: Mapping[str, bytes]) -> bytes:
    """The manifest of a folder of this kind: what is described, and checksums of its files and of itself.

    Raises:
        InputError: it is larger than what is read again.
    """
    manifest = {"format": FORMATS[kind], "kind": kind, **described}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest["sha256"] = {**checksums, MANIFEST: _own_checksum({**manifest, "sha256": checksums})}
    content = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    if len(content) > LARGEST:
        raise InputError(
            f"{kind}: its {MANIFEST} of {len(content):,} bytes is larger than {LARGEST:,}; shorten its names"
        )
    return content


def read_manifest(folder: Path, kind: str, names: Sequence[str], fix: str) -> dict[str, Any]:
    """What is described in the manifest of a folder, when none of its files was changed since they were written.

    Args:
        names: of the files that it must vouch for, besides a card.

    Raises:
        InputError: the folder is not there or of another kind, or a file is missing, truncated or changed, or is no
            regular file; ends with `fix`.
    """
    manifest = unchecked_manifest(folder, kind, fix)
    described = {key: value for key, value in manifest.items() if key not in ("format", "kind", "sha256")}
    if (number := manifest.get("format")) != FORMATS[kind] or type(number) is not int:
        raise InputError(
            f"{folder / MANIFEST}: format {str(number)[:40]} is not {FORMATS[kind]}, that of this projpipe; {fix}"
        )
    checksums = manifest.get("sha256")
    if not isinstance(checksums, dict):
        raise InputError(f"{folder / MANIFEST} was changed: it lacks its checksums; {fix}")
    expected = dict(checksums)
    if expected.pop(MANIFEST, None) != _own_checksum({**manifest, "sha256": expected}):
        raise InputError(f"{folder / MANIFEST} was changed: its checksum differs; {fix}")
    for name in (*names, *({CARD} & expected.keys())):
        try:
            checksum = file_sha256(folder / name)
        except OSError as error:
            raise InputError(f"{folder} is no {kind}: {error}; {fix}") from error
        if checksum != expected.get(name):
            raise InputError(f"{folder / name} is truncated or was changed: its checksum differs; {fix}")
    return described


def unchecked_manifest(folder: Path, kind: str, fix: str) -> dict[str, Any]:
    """The manifest of a folder of this kind as it stands there, at no cost.

    Raises:
        InputError: the folder is not there or of another kind, or has no manifest that can be read; ends with `fix`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give that of a {kind}, or {fix}")
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no {kind}: {error}; {fix}") from error
    if (found := _kind(manifest)) != kind:
        raise InputError(_of_another_kind(folder, found, kind, fix))
    return manifest


def kind_of(folder: Path) -> str | None:
    """What the manifest of a folder says it is; None where there is none that can be read, or it says nothing."""
    try:
        return _kind(read_json(folder / MANIFEST))
    except (OSError, ValueError):
        return None


def _kind(manifest: object) -> str | None:
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    return kind if isinstance(kind, str) else None


def _of_another_kind(folder: Path, found: str | None, kind: str, fix: str) -> str:
    if found in OTHERS:
        return f"{folder} is a {found} and no {kind}; {OTHERS[found]}"
    return f"{folder / MANIFEST} is not that of a {kind}; {fix}"


def _own_checksum(manifest: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
