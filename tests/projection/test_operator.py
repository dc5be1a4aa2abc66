"""The projection operator: what holds at its start, and what its parts do."""

import pytest
import torch

from projpipe.projection import initialisation
from projpipe.projection.factors import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source, merge_blocks
from projpipe.transformer.forward import forward_students

STATIC = Conditioning(templates=0, rank=0, gates=False, task_embed_dim=8)
TERMS = {
    "templates": Conditioning(templates=3, rank=0, gates=False, task_embed_dim=8),
    "rank": Conditioning(templates=0, rank=2, gates=False, task_embed_dim=8),
    "gates": Conditioning(templates=0, rank=0, gates=True, task_embed_dim=8),
    "all": Conditioning(templates=3, rank=2, gates=True, task_embed_dim=8),
}
CLASSES = torch.tensor([[0, 1, 2], [7, 8, 9]])
MASK = torch.ones(2, 3, dtype=torch.bool)


def logits(operator: ProjectionOperator, images: torch.Tensor) -> torch.Tensor:
    return forward_students(operator.spec, operator(CLASSES, MASK), images.view(2, 16, 1, 8, 8))


@pytest.mark.parametrize("conditioning", TERMS.values(), ids=TERMS.keys())
def test_every_conditioning_term_is_inert_at_the_start_and_alive_after_a_step(
    conditioning: Conditioning, source: Source, images: torch.Tensor
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    static = ProjectionOperator(source, student, STATIC, seed=0)
    conditioned = ProjectionOperator(source, student, conditioning, seed=0)
    assert torch.equal(logits(static, images), logits(conditioned, images))

    optimizer = torch.optim.SGD(conditioned.parameters(), lr=1.0)
    logits(conditioned, images).square().mean().backward()
    optimizer.step()
    first, second = conditioned(CLASSES, MASK)["fc1.weight"]
    assert (first - second).abs().max() > 1e-6


def test_a_student_as_large_as_its_source_is_the_source(
    source: Source, teacher, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialisation, "NOISE", 0.0)
    operator = ProjectionOperator(source, source.spec, STATIC, seed=0)
    with torch.no_grad():
        weights = operator(torch.arange(10)[None], torch.ones(1, 10, dtype=torch.bool))
        torch.testing.assert_close(
            forward_students(source.spec, weights, images[None])[0], teacher(images), atol=1e-4, rtol=1e-4
        )


def test_merging_two_blocks_adds_up_what_each_writes_from_the_same_input(source: Source) -> None:
    merged = merge_blocks(source.weights, [range(2), range(2, 4)])
    x = torch.randn(5, 24)
    own = [
        torch.relu(x @ source.weights["fc1.weight"][i].T + source.weights["fc1.bias"][i])
        @ source.weights["fc2.weight"][i].T
        + source.weights["fc2.bias"][i]
        for i in (0, 1)
    ]
    both = (
        torch.relu(x @ merged["fc1.weight"][0].T + merged["fc1.bias"][0]) @ merged["fc2.weight"][0].T
        + merged["fc2.bias"][0]
    )
    torch.testing.assert_close(both, own[0] + own[1], atol=1e-5, rtol=1e-5)


def test_ragged_groups_project_like_any_other(source: Source, images: torch.Tensor) -> None:
    operator = ProjectionOperator(source, source.spec.student(12, 3, 2, 1.5), STATIC, seed=0)
    assert torch.isfinite(logits(operator, images)).all()


def test_the_seed_fixes_the_operator(source: Source) -> None:
    def state(seed: int) -> torch.Tensor:
        operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), TERMS["all"], seed=seed)
        return torch.cat([value.flatten() for value in operator.state_dict().values()])

    assert torch.equal(state(0), state(0))
    assert not torch.equal(state(0), state(1))
