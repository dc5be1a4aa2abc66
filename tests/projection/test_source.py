"""The source's blocks in groups, one for each student block."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from projpipe.projection.source import Source, merge_blocks, side_by_side
from projpipe.transformer.elastic import block_groups

DEPTHS = st.integers(1, 60).flatmap(lambda depth: st.tuples(st.just(depth), st.integers(1, depth)))


@given(DEPTHS)
def test_groups_hold_every_block_once_in_order_and_differ_by_at_most_one(depths: tuple[int, int]) -> None:
    depth, student_depth = depths
    groups = block_groups(depth, student_depth)
    assert len(groups) == student_depth
    assert [layer for group in groups for layer in group] == list(range(depth))
    assert {len(group) for group in groups} <= {depth // student_depth, -(-depth // student_depth)}


@given(DEPTHS)
def test_units_lie_side_by_side_in_the_order_of_their_blocks(depths: tuple[int, int]) -> None:
    depth, student_depth = depths
    groups = block_groups(depth, student_depth)
    units = torch.arange(1, 2 * depth + 1).view(depth, 2)  # two a block, all different, none zero
    merged = side_by_side(units, groups, dim=0)
    longest = max(len(group) for group in groups)
    for row, group in zip(merged.tolist(), groups, strict=True):
        expected = [unit for layer in group for unit in (2 * layer + 1, 2 * layer + 2)]
        assert row == expected + [0, 0] * (longest - len(group))


def test_one_block_a_group_changes_nothing(source: Source) -> None:
    merged = merge_blocks(source.weights, block_groups(4, 4))
    assert len(merged) == 12
    assert all(torch.equal(tensor, source.weights[name]) for name, tensor in merged.items())


@pytest.mark.parametrize(("reading", "writing"), [("fc1", "fc2"), ("v", "out")])
def test_a_shorter_group_is_filled_up_with_units_that_write_nothing(reading: str, writing: str, source: Source) -> None:
    groups = [range(3), range(3, 4)]
    merged = merge_blocks(source.weights, groups)
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))

    def write(weights: dict[str, torch.Tensor], i: int) -> torch.Tensor:
        units = x @ weights[f"{reading}.weight"][i].T + weights[f"{reading}.bias"][i]
        return torch.tanh(units) @ weights[f"{writing}.weight"][i].T + weights[f"{writing}.bias"][i]

    for i, group in enumerate(groups):
        expected = sum(write(source.weights, layer) for layer in group)
        torch.testing.assert_close(write(merged, i), expected, atol=1e-4, rtol=1e-4)


def test_the_source_has_as_many_classes_as_its_classifier_has_rows(source: Source) -> None:
    assert source.num_classes == 10


def test_a_copy_of_what_reads_a_source_shares_it(source: Source) -> None:
    """The moving average of an operator is one, and a source can be as large as a ViT-L."""
    assert deepcopy({"source": source})["source"] is source
