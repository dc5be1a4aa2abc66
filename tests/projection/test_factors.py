"""A factor is what its formula says, term by term."""

import torch

from projpipe.projection.factors import Conditioning, Factor

TASKS, BLOCKS, STUDENT, SOURCE = 3, 2, 4, 5


def make_factor(conditioning: Conditioning) -> Factor:
    generator = torch.Generator().manual_seed(0)
    return Factor(torch.randn(BLOCKS, STUDENT, SOURCE, generator=generator), conditioning, generator)


def formula(factor: Factor, conditioning: Conditioning, coefficients: torch.Tensor) -> torch.Tensor:
    """Every number of every block by itself, from one row of coefficients: block by block c, then g."""
    expected, left = torch.zeros(BLOCKS, STUDENT, SOURCE), iter(coefficients.tolist())
    for block in range(BLOCKS):
        c = [next(left) for _ in range(conditioning.templates)]
        g = [next(left) if conditioning.gates else 0.0 for _ in range(SOURCE)]
        for i in range(STUDENT):
            for j in range(SOURCE):
                value = factor.base[block, i, j].item()
                for k, amount in enumerate(c):
                    value += amount * factor.templates[block, k, i * SOURCE + j].item()
                expected[block, i, j] = value * (1 + g[j])
    assert next(left, None) is None, "there are more coefficients than the formula asks for"
    return expected


def test_without_coefficients_a_factor_is_its_start_for_all_tasks_alike(static: Conditioning) -> None:
    init = torch.randn(BLOCKS, STUDENT, SOURCE)
    factor = Factor(init, static, torch.Generator())
    assert torch.equal(factor(None), init[None])
    assert factor.num_coefficients == 0
    assert [name for name, _ in factor.named_parameters()] == ["base"]


def test_a_term_is_inert_at_zero_coefficients(conditioning: Conditioning) -> None:
    factor = make_factor(conditioning)
    at_zero = factor(torch.zeros(TASKS, factor.num_coefficients))
    assert torch.equal(at_zero.expand(TASKS, -1, -1, -1), factor.base.expand(TASKS, -1, -1, -1))


def test_a_term_is_what_the_formula_says(conditioning: Conditioning) -> None:
    factor = make_factor(conditioning)
    coefficients = torch.randn(TASKS, factor.num_coefficients, generator=torch.Generator().manual_seed(1))
    projected = factor(coefficients)
    assert projected.shape == (TASKS, BLOCKS, STUDENT, SOURCE)
    for found, row in zip(projected, coefficients, strict=True):
        torch.testing.assert_close(found, formula(factor, conditioning, row), atol=1e-5, rtol=1e-5)


def test_every_coefficient_changes_its_own_block_alone(conditioning: Conditioning) -> None:
    factor = make_factor(conditioning)
    one_each = factor(torch.eye(factor.num_coefficients))  # as many tasks as coefficients, each with one switched on
    changed = (one_each - factor.base).abs().amax((2, 3)) > 1e-6
    a_block = factor.num_coefficients // BLOCKS
    assert changed.tolist() == [[i // a_block == block for block in range(BLOCKS)] for i in range(len(changed))]


def test_every_parameter_of_a_term_learns(conditioning: Conditioning) -> None:
    factor = make_factor(conditioning)
    factor(torch.ones(TASKS, factor.num_coefficients)).square().sum().backward()
    assert all(parameter.grad.abs().min() > 0 for parameter in factor.parameters())


def test_static_is_all_terms_off(static: Conditioning, conditioning: Conditioning) -> None:
    assert static.is_static
    assert not conditioning.is_static


def test_the_choice_of_units_is_the_same_for_all_tasks(conditioning: Conditioning) -> None:
    assert conditioning.of("attn.read") == conditioning
    assert not conditioning.of("fc1.units").changes_factors
