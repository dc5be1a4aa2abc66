"""Experts that are added to the students' weights, mixed by their task."""

from dataclasses import replace

import pytest
import torch

from projpipe.projection.conditioning import Conditioning
from projpipe.projection.experts import TaskMixture
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.transformer.canonical import canonical_name
from projpipe.transformer.forward import forward_students

EXPERTS = Conditioning(experts=3, film=False, task_embed_dim=8)
CLASSES, MASK = torch.tensor([[0, 1, 2], [7, 8, 9]]), torch.ones(2, 3, dtype=torch.bool)


@pytest.fixture
def operator(source: Source) -> ProjectionOperator:
    return ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), EXPERTS, seed=0)


def logits(operator: ProjectionOperator, images: torch.Tensor) -> torch.Tensor:
    return forward_students(operator.spec, operator(CLASSES, MASK), images.view(2, 16, 1, 8, 8))


def test_experts_are_inert_at_the_start_and_every_one_learns_in_the_first_step(
    operator: ProjectionOperator, source: Source, images: torch.Tensor, static: Conditioning
) -> None:
    unconditioned = ProjectionOperator(source, operator.spec, static, seed=0)
    torch.testing.assert_close(logits(operator, images), logits(unconditioned, images))
    logits(operator, images).square().mean().backward()
    expected = set(operator.spec.weight_shapes(10)) - {"k.bias", "head.bias"}
    assert {canonical_name(key) for key in operator.experts} == expected
    for key, experts in operator.experts.items():
        assert experts.grad.flatten(1).abs().amax(1).min() > 0, key


def test_a_students_weights_are_the_shared_ones_and_the_mixed_experts(operator: ProjectionOperator) -> None:
    shared = operator(CLASSES, MASK)
    with torch.no_grad():
        for experts in operator.experts.values():
            experts.normal_(generator=torch.Generator().manual_seed(1))
    made, mixture = operator(CLASSES, MASK), operator.embed(CLASSES, MASK)
    for task in range(2):
        for name in ("fc1.weight", "q.bias", "pos"):
            experts = operator.experts[name.replace(".", "_")]
            added = sum(c * expert for c, expert in zip(mixture[task], experts, strict=True))
            torch.testing.assert_close(made[name][task], shared[name][0] + added, atol=1e-5, rtol=1e-5)
        of_rows = sum(c * expert for c, expert in zip(mixture[task], operator.experts["head_weight"], strict=True))
        rows = shared["head.weight"][task]
        torch.testing.assert_close(made["head.weight"][task], rows + rows @ of_rows, atol=1e-5, rtol=1e-5)


def test_another_tasks_mixture_can_be_told(operator: ProjectionOperator) -> None:
    with torch.no_grad():
        operator.experts["fc1_weight"].normal_()
    told = operator.embed(CLASSES, MASK).flip(0)
    own, other = operator(CLASSES, MASK), operator(CLASSES, MASK, embedding=told)
    torch.testing.assert_close(own["fc1.weight"], other["fc1.weight"].flip(0))


def test_experts_and_film_share_an_embedding(source: Source) -> None:
    both = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), replace(EXPERTS, film=True), seed=0)
    assert both.embed(CLASSES, MASK).shape == (2, 8 + 3)


def test_a_mixture_follows_the_clusters_and_that_of_all_classes_is_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    sorts = torch.randn(3, 16, generator=generator)
    table = sorts.repeat_interleave(4, 0) + 0.1 * torch.randn(12, 16, generator=generator)
    mixture = TaskMixture(table, 3, seed=0)
    tasks = torch.arange(12).view(3, 4)
    of_sorts = mixture(tasks, torch.ones_like(tasks, dtype=torch.bool))
    assert sorted(of_sorts.argmax(1).tolist()) == [0, 1, 2]
    assert of_sorts.amax(1).min() > 0.4
    everything = torch.arange(12)[None]
    of_all = mixture(everything, torch.ones_like(everything, dtype=torch.bool))
    torch.testing.assert_close(of_all, torch.zeros(1, 3), atol=1e-6, rtol=0)
    masked = mixture(tasks, torch.tensor([[True, True, False, False]] * 3))
    assert torch.equal(masked.argmax(1), of_sorts.argmax(1))


def test_one_seed_gives_one_clustering_and_no_seed_needs_none() -> None:
    table = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(TaskMixture(table, 3, seed=1).centres, TaskMixture(table, 3, seed=1).centres)
    without = TaskMixture(table, 3, seed=None)
    assert torch.equal(without.centres, without.features[[0, 4, 8]])
