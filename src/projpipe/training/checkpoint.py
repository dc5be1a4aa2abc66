"""Checkpoints: tensors as safetensors, everything else as JSON, in one folder, with the checksums of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from projpipe.checksums import changed_of, list_files
from projpipe.errors import InputError

JSON = dict[str, Any]
TENSORS, STATE, LISTING = "tensors.safetensors", "state.json", "sha256.txt"


def write_checkpoint(folder: Path, run: str, state: JSON, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint of the run `run` into a folder that nobody reads yet."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, folder / TENSORS)
    (folder / STATE).write_text(json.dumps({"run": run, **state}))
    list_files(folder / LISTING, [folder / TENSORS, folder / STATE], folder)


def read_checkpoint(folder: Path, run: str, run_folder: Path | None = None) -> tuple[JSON, dict[str, Tensor]]:
    """Read back what `write_checkpoint` wrote.

    `run_folder` is what to delete if the checkpoint is damaged; None for `folder`.

    Raises:
        InputError: a file is missing, truncated or changed, or the checkpoint belongs to another run.
    """
    fix = f"delete the folder {run_folder or folder}, and the run starts anew"
    try:
        if changed := changed_of(folder / LISTING, folder):
            raise ValueError(f"{changed.name} is gone or was changed: its checksum differs")
        state = json.loads((folder / STATE).read_text())
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"checkpoint {folder}: cannot be read ({error}); {fix}") from error
    if state["run"] != run:
        raise InputError(f"checkpoint {folder}: belongs to run {state['run']}, not to {run}; {fix}")
    return state, tensors
