"""Sets of tensors in one file come apart as they were put together."""

import torch

from projpipe.tensors import prefixed, starting_with


def test_a_set_comes_back_by_its_prefix_and_no_other() -> None:
    one, other = {"a": torch.zeros(1), "1.b": torch.ones(1)}, {"a": torch.ones(2)}
    together = prefixed("1.", one) | prefixed("11.", other)
    assert starting_with("1.", together) == one
    assert starting_with("11.", together) == other
    assert starting_with("2.", together) == {}
