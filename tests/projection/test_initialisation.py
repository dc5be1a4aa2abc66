"""The bases and selections that factors are initialised with."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from projpipe.projection.initialisation import (
    principal_directions,
    select_units,
    select_within_heads,
    zero_sum_basis,
)


@given(st.integers(min_value=2, max_value=40))
def test_zero_sum_basis_is_orthonormal_and_sums_to_zero(width: int) -> None:
    basis = zero_sum_basis(width)
    torch.testing.assert_close(basis.T @ basis, torch.eye(width - 1), atol=1e-5, rtol=0)
    assert basis.sum(0).abs().max() < 1e-5


def test_principal_directions_are_those_of_the_largest_variance() -> None:
    x = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 1, 1, 5, 1, 1])
    x = x - x.mean(1, keepdim=True)
    found = principal_directions(x.T @ x / len(x), 2)
    expected = torch.linalg.svd(x, full_matrices=False).Vh[:2].T
    torch.testing.assert_close((found * expected).sum(0).abs(), torch.ones(2), atol=1e-3, rtol=0)
    assert found.sum(0).abs().max() < 1e-4


def test_units_are_chosen_by_importance_and_kept_in_order() -> None:
    assert select_units(torch.tensor([0.1, 3.0, 0.2, 2.0]), 2).argmax(1).tolist() == [1, 3]


def test_each_student_head_takes_the_best_units_of_one_source_head() -> None:
    importance = torch.tensor([[1.0, 5.0, 4.0], [9.0, 0.0, 8.0]])
    rows = select_within_heads(importance, torch.tensor([1, 0]), num_heads=2, head_dim=2)
    assert rows.argmax(1).tolist() == [3, 5, 1, 2]


def test_more_student_heads_than_source_heads_take_units_in_turn() -> None:
    rows = select_within_heads(torch.tensor([[1.0, 5.0, 4.0]]), torch.tensor([0]), num_heads=2, head_dim=2)
    assert rows.sum(1).tolist() == [1, 1, 1, 0]
    assert rows.sum(0).tolist() == [1, 1, 1]
