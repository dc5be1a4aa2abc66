"""Sets of named tensors in one file, told apart by what their names start with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.record import regular_file

Shapes = Mapping[str, Sequence[int]]
HEADER_OF_TENSOR = 1024  # bytes of a file's header: more than a tensor's name, type, shape and place take


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with a prefix before their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def starting_with(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Shapes by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def read_tensors(path: Path, shapes: Shapes, dtype: str = "F32") -> dict[str, Tensor]:
    """The tensors of a safetensors file as float32; it has to hold these names and shapes and no others.

    All of them have to be of `dtype`, by safetensors' name.

    The header alone is read until that is sure. That the file is as large as it says is what safetensors checks.

    Raises:
        InputError: it holds something else, or a number that is none; says what, and not where.
        OSError: it is no regular file, or cannot be read.
        SafetensorError: it is truncated or of another kind.
    """
    from safetensors import safe_open

    _check_header(path, len(shapes))
    with safe_open(path, framework="pt") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        check_shapes({name: part.get_shape() for name, part in parts.items()}, shapes)
        if other := {name: part.get_dtype() for name, part in parts.items() if part.get_dtype() != dtype}:
            name = min(other)
            raise InputError(f"{name} is {other[name]} and not {dtype}")
        tensors = {name: file.get_tensor(name).float() for name in parts}
    check_finite(tensors)
    return tensors


def check_size(path: Path, numbers: int) -> None:
    """Refuse a safetensors file whose tensors are not so many float32 numbers together.

    Raises:
        InputError: says how many they are, and not where.
        OSError: it is no regular file, or cannot be read.
    """
    if (size := path.stat().st_size - 8 - _length_of_header(path)) != 4 * numbers:
        raise InputError(f"its tensors take {max(size, 0):,} bytes there and {4 * numbers:,} in the model")


def check_shapes(there: Shapes, expected: Shapes) -> None:
    """Refuse tensors that are missing, surplus or of another shape than expected.

    Raises:
        InputError: says which, and not where they are from.
    """
    if lacking := expected.keys() - there.keys():
        raise InputError(f"it lacks {_some(lacking)}")
    if surplus := there.keys() - expected.keys():
        raise InputError(f"the model has no place for {_some(surplus)}")
    for name, shape in expected.items():
        if list(there[name]) != list(shape):
            raise InputError(f"{name} is {list(there[name])} there and {list(shape)} in the model")


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load a state dict, which must fit.

    Raises:
        InputError: says what does not fit, for the caller to say where the weights are from.
    """
    check_shapes(shapes_of(weights), shapes_of(model.state_dict()))
    model.load_state_dict(weights)


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors in which a number is infinite or none.

    Raises:
        InputError: names the first.
    """
    for name, tensor in tensors.items():
        if tensor.numel() and not all(map(isfinite, torch.stack(torch.aminmax(tensor)).tolist())):
            raise InputError(f"{name} holds a number that is infinite or none")


def _check_header(path: Path, count: int) -> None:
    """Refuse a file whose header is longer than that of so many tensors."""
    if (length := _length_of_header(path)) > HEADER_OF_TENSOR * (count + 1):
        raise InputError(f"its header of {length:,} bytes is longer than that of {count:,} tensors")


def _length_of_header(path: Path) -> int:
    with regular_file(path).open("rb") as file:
        return int.from_bytes(file.read(8), "little")


def _some(names: Collection[str]) -> str:
    shown = ", ".join(name[:60] for name in sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
