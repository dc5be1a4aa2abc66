"""Which versions and which commit made a result."""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

PACKAGES = ("projpipe", "torch", "timm", "numpy", "ray")


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
