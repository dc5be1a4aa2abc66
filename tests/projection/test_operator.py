"""The projection operator: what holds for its init, and what its parts do."""

import pytest
import timm
import torch

from projpipe.projection import initialisation
from projpipe.projection import operator as operator_module
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.project import project
from projpipe.projection.source import Source, merge_blocks
from projpipe.teacher.activations import activation_statistics
from projpipe.transformer.canonical import canonical_name, canonical_weights
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

CLASSES = torch.tensor([[0, 1, 2], [7, 8, 9]])
MASK = torch.ones(2, 3, dtype=torch.bool)


def logits(operator: ProjectionOperator, images: torch.Tensor) -> torch.Tensor:
    return forward_students(operator.spec, operator(CLASSES, MASK), images.view(2, 16, 1, 8, 8))


def test_every_conditioning_term_is_inert_at_the_start_and_alive_after_a_step(
    conditioning: Conditioning, static: Conditioning, source: Source, images: torch.Tensor
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    unconditioned = ProjectionOperator(source, student, static, seed=0)
    conditioned = ProjectionOperator(source, student, conditioning, seed=0)
    torch.testing.assert_close(logits(unconditioned, images), logits(conditioned, images), atol=1e-5, rtol=1e-5)

    optimizer = torch.optim.SGD(conditioned.parameters(), lr=1.0)
    logits(conditioned, images).square().mean().backward()
    optimizer.step()
    first, second = conditioned(CLASSES, MASK)["fc1.weight"]
    assert (first - second).abs().max() > 1e-6


def test_free_weights_are_inert_at_the_start_and_alive_after_a_step(
    static: Conditioning, source: Source, images: torch.Tensor
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    projected_only = ProjectionOperator(source, student, static, seed=0, free_weights=False)
    operator = ProjectionOperator(source, student, static, seed=0)
    torch.testing.assert_close(logits(projected_only, images), logits(operator, images))

    logits(operator, images).square().mean().backward()
    assert {canonical_name(key) for key in operator.free} == set(student.weight_shapes(10)) - {"k.bias"}
    for key, tensor in operator.free.items():
        assert tensor.grad.abs().max() > 0, key


def test_factors_that_do_not_learn_stay_and_all_else_learns(
    conditioning: Conditioning, source: Source, images: torch.Tensor
) -> None:
    operator = ProjectionOperator(
        source, source.spec.student(12, 2, 2, 1.5), conditioning, seed=0, class_map=True, factors_rate=0.0
    )
    before = {name: value.clone() for name, value in operator.named_parameters()}
    groups = [{"params": group.parameters, "lr": group.rate} for group in operator.parameter_groups()]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    for _ in range(2):  # FiLM's weights are zero before the first
        logits(operator, images).square().mean().backward()
        optimizer.step()
    still = {name for name, value in operator.named_parameters() if torch.equal(value, before[name])}
    assert still == {name for name in before if name.startswith("factors.")}


def test_a_class_without_a_training_task_keeps_the_row_that_is_projected(
    static: Conditioning, source: Source, images: torch.Tensor
) -> None:
    operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), static, seed=0)
    logits(operator, images).square().mean().backward()
    moved = {row for row, grad in enumerate(operator.free["head_weight"].grad.abs().sum(1)) if grad > 0}
    assert moved == {0, 1, 2, 7, 8, 9}


def test_a_class_map_is_inert_at_the_start_and_adds_to_the_rows_of_all_classes(
    static: Conditioning, source: Source
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    without = ProjectionOperator(source, student, static, seed=0)(CLASSES, MASK)
    operator = ProjectionOperator(source, student, static, seed=0, class_map=True)
    torch.testing.assert_close(operator(CLASSES, MASK), without)
    with torch.no_grad():
        operator.class_map.weight.normal_(generator=torch.Generator().manual_seed(0))
    dropped = operator(CLASSES, MASK, keep_rows=torch.zeros(2, 3, dtype=torch.bool))
    added = operator.class_map.features[CLASSES] @ operator.class_map.weight.mT / 12**0.5
    torch.testing.assert_close(dropped["head.weight"], without["head.weight"] + added, atol=1e-5, rtol=1e-5)


def test_class_row_dropout_takes_a_class_for_a_new_one(static: Conditioning, source: Source) -> None:
    operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), static, seed=0)
    new = operator(CLASSES, MASK)
    with torch.no_grad():
        operator.free["head_weight"] += 1.0
        operator.free["head_bias"] += 1.0
    keep_rows = torch.tensor([[True, False, True], [False, False, True]])
    rows = operator(CLASSES, MASK, keep_rows)
    for name in ("head.weight", "head.bias"):
        added = rows[name] - new[name]
        torch.testing.assert_close(added, keep_rows.view(2, 3, *(1,) * (added.ndim - 2)).expand_as(added).float())


def test_a_student_as_large_as_its_source_is_the_source(
    source: Source, static: Conditioning, teacher, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialisation, "NOISE", 0.0)
    operator = ProjectionOperator(source, source.spec, static, seed=0)
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


def test_ragged_groups_project_like_any_other(source: Source, static: Conditioning, images: torch.Tensor) -> None:
    operator = ProjectionOperator(source, source.spec.student(12, 3, 2, 1.5), static, seed=0)
    assert torch.isfinite(logits(operator, images)).all()


def test_the_seed_fixes_the_operator(source: Source, every_term: Conditioning) -> None:
    def state(seed: int) -> torch.Tensor:
        operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), every_term, seed=seed)
        return torch.cat([value.flatten() for value in operator.state_dict().values()])

    assert torch.equal(state(0), state(0))
    assert not torch.equal(state(0), state(1))


def test_an_embedding_that_is_given_replaces_the_tasks_own(
    source: Source, every_term: Conditioning, images: torch.Tensor
) -> None:
    operator = alive(source, every_term)
    swapped = operator.embed(CLASSES, MASK).flip(0)
    own, told = operator(CLASSES, MASK)["q.weight"], operator(CLASSES, MASK, embedding=swapped)["q.weight"]
    torch.testing.assert_close(own, told.flip(0))
    assert (own - told).abs().max() > 1e-6


def test_what_is_computed_beforehand_changes_no_student(conditioning: Conditioning, source: Source) -> None:
    operator = alive(source, conditioning)
    before = operator(CLASSES, MASK)
    projected = operator.precompute()
    assert operator.precompute() is projected
    for name, tensor in operator(CLASSES, MASK).items():
        torch.testing.assert_close(tensor, before[name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("learns", [True, False])
def test_what_does_not_learn_is_multiplied_once_a_training(
    learns: bool, source: Source, every_term: Conditioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, made = source.spec.student(12, 2, 2, 1.5), []
    monkeypatch.setattr(operator_module, "project", lambda *given: made.append(project(*given)) or made[-1])
    operator = ProjectionOperator(source, student, every_term, seed=0, factors_rate=float(learns))
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            operator.train()(CLASSES, MASK)
        with torch.inference_mode():
            operator.eval()(CLASSES, MASK)
    assert len(made) == (6 if learns else 1)
    assert learns or (made[0]["q.weight"].dtype == torch.float32 and not made[0]["q.weight"].is_inference())


def test_a_tuned_source_without_conditioning_is_projected_beforehand_too(source: Source, static: Conditioning) -> None:
    operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), static, seed=0, tuned=True).eval()
    before = operator.precompute()["patch.weight"]
    with torch.no_grad():
        operator.tuned_weights["patch_weight"] += 1.0
    assert not torch.equal(operator.precompute()["patch.weight"], before)


@pytest.mark.parametrize("learns", [True, False])
def test_what_was_computed_beforehand_is_void_once_it_learns_or_is_loaded(
    learns: bool, source: Source, every_term: Conditioning
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    operator = ProjectionOperator(source, student, every_term, seed=0, factors_rate=float(learns)).eval()
    operator.precompute()
    assert operator.double().projected["q.weight"].dtype == torch.float64
    operator.train()
    assert (operator.projected is None) == learns
    operator.precompute()
    operator.load_state_dict(operator.state_dict())
    assert operator.projected is None


@pytest.mark.parametrize("start", ["principal", "random", "uniform"])
def test_the_residual_stream_is_read_through_orthogonal_directions_whatever_the_start(
    start: str, source: Source, static: Conditioning
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    operator = ProjectionOperator(source, student, static, seed=0, start=start)
    write = operator.factors["attn_write"][0]
    directions = torch.linalg.svdvals(write)
    kept = 12 if start == "uniform" else 11  # the others keep to vectors whose entries sum to zero
    torch.testing.assert_close(directions[:kept], torch.ones(kept), atol=1e-4, rtol=0)
    torch.testing.assert_close(operator.factors["attn_read"][0], write * 2**0.5)


def test_a_tuned_source_starts_as_the_frozen_one_and_learns(
    source: Source, every_term: Conditioning, images: torch.Tensor
) -> None:
    student = source.spec.student(12, 2, 2, 1.5)
    frozen = ProjectionOperator(source, student, every_term, seed=0)
    tuned = ProjectionOperator(source, student, every_term, seed=0, tuned=True)
    torch.testing.assert_close(logits(tuned, images), logits(frozen, images))

    logits(tuned, images).square().mean().backward()
    grads = {name: parameter.grad for name, parameter in tuned.tuned_weights.items()}
    assert all(grad is not None and grad.abs().max() > 0 for grad in grads.values())
    assert not any("tuned" in name for name, _ in frozen.named_parameters())


def test_tokens_that_are_normalised_before_the_blocks_reach_a_student_of_the_same_size_nearly_as_they_were(
    images: torch.Tensor, static: Conditioning
) -> None:
    torch.manual_seed(0)
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "in_chans": 1}
    teacher = timm.create_model("vit_tiny_patch16_224", num_classes=10, pre_norm=True, **sizes).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    same_size = ProjectionOperator(source, source.spec, static, seed=0, free_weights=False)
    with torch.no_grad():
        found = forward_students(source.spec, same_size(torch.arange(10)[None], torch.ones(1, 10) > 0), images[None])[0]
        expected = teacher(images)
    both = torch.stack([(each - each.mean(0)).flatten() for each in (found, expected)])
    assert torch.corrcoef(both)[0, 1] > 0.9


def alive(source: Source, conditioning: Conditioning) -> ProjectionOperator:
    """An operator whose tasks differ."""
    operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), conditioning, seed=0)
    with torch.no_grad():
        told = [parameter for name, parameter in operator.named_parameters() if name.startswith(("film", "experts"))]
        for parameter in told:
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return operator
