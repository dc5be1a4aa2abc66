"""A damaged or foreign checkpoint is refused by name."""

from pathlib import Path

import pytest
import torch

from projpipe.errors import InputError
from projpipe.training.checkpoint import STATE, TENSORS, read_checkpoint, write_checkpoint


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "run", {"step": 3}, {"a": torch.arange(6.0).view(2, 3).T})
    state, tensors = read_checkpoint(tmp_path, "run")
    assert state["step"] == 3
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3).T)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "run", {}, {"a": torch.zeros(100)})
    path = tmp_path / TENSORS
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"cannot be read .*; delete the folder .*, and the run starts anew"):
        read_checkpoint(tmp_path, "run")


@pytest.mark.parametrize(("name", "before", "after"), [(TENSORS, b"\0\0\x80?", b"\0\0\x90?"), (STATE, b"0.5", b"0.7")])
def test_a_checkpoint_in_which_a_number_was_changed_is_refused(
    name: str, before: bytes, after: bytes, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, "run", {"score": 0.5}, {"a": torch.ones(100)})
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content.replace(before, after, 1))
    assert (tmp_path / name).read_bytes() != content
    with pytest.raises(InputError, match=rf"{name} is gone or was changed: its checksum differs.*; delete the folder"):
        read_checkpoint(tmp_path, "run")


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "projected-1", {}, {"a": torch.zeros(1)})
    with pytest.raises(InputError, match="belongs to run projected-1, not to projected-2"):
        read_checkpoint(tmp_path, "projected-2")
