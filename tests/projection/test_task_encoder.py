"""The task embedding is one of a set."""

import torch

from projpipe.projection.task_encoder import TaskEncoder


def encoder() -> TaskEncoder:
    torch.manual_seed(0)
    return TaskEncoder(torch.randn(10, 24), embed_dim=8)


def test_the_order_of_classes_does_not_matter() -> None:
    embed, mask = encoder(), torch.ones(1, 4, dtype=torch.bool)
    one, other = embed(torch.tensor([[1, 5, 7, 2]]), mask), embed(torch.tensor([[7, 2, 1, 5]]), mask)
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_what_fills_up_a_row_does_not_matter() -> None:
    embed = encoder()
    alone = embed(torch.tensor([[1, 5]]), torch.ones(1, 2, dtype=torch.bool))
    filled = embed(torch.tensor([[1, 5, 9]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(alone, filled, atol=1e-6, rtol=0)


def test_different_tasks_have_different_embeddings() -> None:
    embed, mask = encoder(), torch.ones(2, 2, dtype=torch.bool)
    first, second = embed(torch.tensor([[1, 5], [1, 6]]), mask)
    assert (first - second).abs().max() > 1e-3
