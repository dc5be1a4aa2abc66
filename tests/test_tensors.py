"""Sets of tensors in one file come apart as they were put together."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from projpipe.errors import InputError
from projpipe.tensors import check_size, prefixed, read_tensors, starting_with


def test_a_set_comes_back_by_its_prefix_and_no_other() -> None:
    one, other = {"a": torch.zeros(1), "1.b": torch.ones(1)}, {"a": torch.ones(2)}
    together = prefixed("1.", one) | prefixed("11.", other)
    assert starting_with("1.", together) == one
    assert starting_with("11.", together) == other
    assert starting_with("2.", together) == {}


SHAPES = {"a": (2, 3), "b": (), "none": (0, 4)}


def write(folder: Path, **changes: torch.Tensor | None) -> Path:
    tensors = {name: torch.ones(shape) for name, shape in SHAPES.items()} | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "file")
    return folder / "file"


def test_tensors_of_the_expected_shapes_are_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    tensors = read_tensors(path, SHAPES)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == SHAPES
    check_size(path, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": torch.ones(3, 2)}, r"a is \[3, 2\] there and \[2, 3\]"),
        ({"b": torch.ones(1)}, r"b is \[1\] there and \[\]"),
        ({"a": torch.ones(2, 3, dtype=torch.float64)}, "a is F64 and not F32"),
        ({"a": torch.ones(2, 3, dtype=torch.bfloat16)}, "a is BF16 and not F32"),
        ({"a": None}, "it lacks a"),
        ({"c": torch.ones(1)}, "no place for c"),
        ({"c" * 10_000: torch.ones(1)}, "its header of .* bytes is longer than that of 3 tensors"),
        ({"a": torch.full((2, 3), torch.nan)}, "a holds a number that is infinite or none"),
        ({"b": torch.tensor(-torch.inf)}, "b holds a number that is infinite or none"),
    ],
)
def test_other_tensors_are_refused(changes: dict[str, torch.Tensor | None], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        read_tensors(path, SHAPES)


def test_a_header_that_names_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(SafetensorError):
        read_tensors(tmp_path / "file", {"a": (2**20, 2**20)})
    with pytest.raises(InputError, match="its tensors take 0 bytes there and 4,398,046,511,104 in the model"):
        check_size(tmp_path / "file", 2**40)
