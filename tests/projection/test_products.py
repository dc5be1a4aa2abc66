"""What is multiplied once for all students is what each of them would multiply."""

import torch

from projpipe.projection.factors import Conditioning, Factor
from projpipe.projection.products import Products, is_mixture, parts_of, weigh

TASKS, BLOCKS, STUDENT, SOURCE = 3, 2, 4, 5


def test_a_mixture_weighs_its_parts(conditioning: Conditioning) -> None:
    generator = torch.Generator().manual_seed(0)
    factor = Factor(torch.randn(BLOCKS, STUDENT, SOURCE, generator=generator), conditioning, generator)
    assert is_mixture(factor) == (not conditioning.gates)
    if is_mixture(factor):
        coefficients = torch.randn(TASKS, factor.num_coefficients, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(weigh(parts_of(factor), coefficients), factor(coefficients))


def test_both_kinds_come_back_from_their_tensors() -> None:
    products = Products(
        {"q": torch.ones(1), "fc2": torch.ones(2)}, {"k.weight": torch.ones(3), "k.bias": torch.ones(4)}
    )
    again = Products.from_tensors(products.to_tensors())
    assert again.inner.keys() == {"q", "fc2"}
    assert again.mixtures.keys() == {"k.weight", "k.bias"}
