"""What made a result: the command, the code, the versions and the machine."""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import torch
from safetensors.torch import save
from torch import Tensor

from projpipe.machine import processor
from projpipe.training.run_inputs import source_code_digest

PACKAGES = ("projpipe", "torch", "timm", "numpy", "ray")
INPUTS = ("dataset_sha256", "train_tasks_sha256", "teacher_sha256")  # of a projector's provenance


class Provenance(TypedDict):
    """What made a result. `code_sha256` is that of the code that trains; `threads` computed what followed training."""

    command: str
    commit: str
    code_sha256: str
    dataset_sha256: str
    versions: dict[str, str]
    processor: str
    threads: int


class Run(Provenance):
    """The content of `run.json`; `parameters` are those of all pipelines of a plain run, by pipeline."""

    train_tasks_sha256: str
    teacher_sha256: str
    parameters: dict[str, object]


def made_here(project: Path, dataset_sha256: str) -> Provenance:
    """What this process makes of a data set, with the project in a folder."""
    return {
        "command": command(),
        "commit": source_commit(project),
        "code_sha256": source_code_digest(),
        "dataset_sha256": dataset_sha256,
        "versions": package_versions(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
    }


def describe_run(project: Path, projector: Mapping[str, str], parameters: Mapping[str, object]) -> Run:
    """A run's manifest: what made it, checksums of what it was made from, and its parameters.

    Args:
        projector: what the projector's folder says of its making.
    """
    dataset, tasks, teacher = (projector[name] for name in INPUTS)
    made = made_here(project, dataset)
    return {**made, "train_tasks_sha256": tasks, "teacher_sha256": teacher, "parameters": dict(parameters)}


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result."""
    return {name: version(name) for name in PACKAGES}


def source_commit(folder: Path) -> str:
    """The git commit of a folder, with `-dirty` after it where files differ from it; `unknown` outside of git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def command() -> str:
    """The command that this process was started with."""
    return f"{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}"  # at times Kedro calls itself `python -m kedro`


def tasks_sha256(tasks: Sequence[Sequence[int]], weights: Sequence[float]) -> str:
    """A checksum of the class ids of tasks, in their order, and of their weights where these differ."""
    ids: list[object] = [list(map(int, task)) for task in tasks]
    return hashlib.sha256(json.dumps([*ids, *weights] if len(set(weights)) > 1 else ids).encode()).hexdigest()


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """A checksum of named tensors, whatever their order."""
    return hashlib.sha256(save({name: tensor.contiguous() for name, tensor in sorted(tensors.items())})).hexdigest()
