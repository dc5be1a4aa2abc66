"""A model that is told a task answers for the task's classes."""

import pytest
import torch
from torch import Tensor, nn

from projpipe.objectives import ImageModeling
from projpipe.projection.source import Source
from projpipe.transformer.canonical import Weights
from projpipe.transformer.class_weights import ClassEmbeddings, ClassifierRows, class_weights, own_rows, told
from projpipe.transformer.decoder import decoder_images, run_decoder
from projpipe.transformer.forward import forward_students

CLASSES = torch.tensor([[3, 0, 2], [1, 3, 1]])
MASK = torch.tensor([[True, True, True], [True, True, False]])
TASKS = [[3, 0, 2], [1, 3]]  # the same, without what fills up a row


def test_a_classifier_that_is_told_a_task_has_the_logits_of_its_classes(
    source: Source, teacher: nn.Module, images: Tensor
) -> None:
    logits = forward_students(
        source.spec, told(source.spec, source.weights, CLASSES, MASK), images[None].expand(2, -1, -1, -1, -1)
    )
    for of_task, task in zip(logits, TASKS, strict=True):
        torch.testing.assert_close(of_task[:, : len(task)], teacher(images)[:, task], atol=1e-5, rtol=1e-5)


def test_a_class_that_fills_up_a_row_takes_no_probability_from_the_others(
    source: Source, teacher: nn.Module, images: Tensor
) -> None:
    logits = forward_students(source.spec, told(source.spec, source.weights, CLASSES[1:], MASK[1:]), images[None])[0]
    alone = teacher(images)[:, TASKS[1]].softmax(-1)
    torch.testing.assert_close(logits.softmax(-1), torch.nn.functional.pad(alone, (0, 1)), atol=1e-5, rtol=1e-5)


def test_a_decoder_that_is_told_a_class_is_its_timm_model_told_that_class(
    decoder_source: Source, decoder_teacher: nn.Module, modeling: ImageModeling, all_images: Tensor
) -> None:
    one = torch.tensor([[2]])
    weights = told(decoder_source.spec, decoder_source.weights, one, torch.ones_like(one, dtype=torch.bool))
    found = forward_students(decoder_source.spec, weights, all_images[None])[0]
    expected = modeling.teacher_logits(decoder_teacher, all_images, torch.full((len(all_images),), 2))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_decoder_that_is_told_several_classes_reads_each_of_them_by_its_share(
    decoder_source: Source, decoder_teacher: nn.Module, all_images: Tensor
) -> None:
    spec = decoder_source.spec
    weights = told(spec, decoder_source.weights, CLASSES, MASK)
    found = forward_students(spec, weights, all_images.expand(2, *all_images.shape))
    for logits, task in zip(found, TASKS, strict=True):
        read = decoder_images(all_images, spec.symbols, 4, torch.full((len(all_images),), -1))
        read[:, [spec.symbols + 1 + class_id for class_id in task]] = 1 / len(task)
        torch.testing.assert_close(logits, run_decoder(decoder_teacher, read), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["source", "decoder_source"])
def test_nothing_else_changes_and_what_all_tasks_share_is_there_once(kind: str, request: pytest.FixtureRequest) -> None:
    source: Source = request.getfixturevalue(kind)
    of_tasks = {"head.weight", "head.bias"} if kind == "source" else {"patch.bias"}
    before = {name: tensor.clone() for name, tensor in source.weights.items()}
    weights = told(source.spec, source.weights, CLASSES, MASK)
    assert {name for name, tensor in weights.items() if len(tensor) == 2} == of_tasks
    for name in weights.keys() - of_tasks:
        assert torch.equal(weights[name], before[name][None])
    assert weights.keys() == before.keys() - {"condition.weight"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in source.weights.items())


def test_what_a_model_may_learn_for_each_class_has_the_shapes_of_the_sources_own(
    source: Source, decoder_source: Source
) -> None:
    for one, num_classes, kind in ((source, 10, ClassifierRows), (decoder_source, 4, ClassEmbeddings)):
        assert class_weights(one.spec) is kind
        shapes = kind.own_shapes(num_classes, one.spec.embed_dim)
        assert kind.table in shapes
        assert shapes == {name: tuple(one.weights[name].shape) for name in shapes}


def test_what_a_classifier_learned_for_its_classes_adds_to_their_logits(source: Source, images: Tensor) -> None:
    def logits(rows: Tensor, own: Weights, bias: Tensor) -> Tensor:
        weights = {name: tensor[None] for name, tensor in source.weights.items()}
        ClassifierRows.insert(weights, rows, own, bias, torch.ones_like(bias, dtype=torch.bool))
        return forward_students(source.spec, weights, images[None])[0]

    rows, learned = torch.randn(2, 1, 3, 24, generator=torch.Generator().manual_seed(0))
    bias, shift = torch.tensor([[[0.1, -0.2, 0.3]], [[1.0, 2.0, 3.0]]])
    found = logits(rows, {"head.weight": learned, "head.bias": shift}, bias)
    torch.testing.assert_close(found, logits(rows, {}, bias) + logits(learned, {}, shift), atol=1e-5, rtol=1e-5)


def test_what_a_decoder_learned_for_its_classes_counts_by_their_share() -> None:
    rows, learned = torch.randn(2, 2, 3, 5, generator=torch.Generator().manual_seed(0))
    weights = {"patch.bias": torch.arange(5.0)[None]}
    ClassEmbeddings.insert(weights, rows, {"condition.weight": learned}, torch.zeros(3), MASK)
    for task, count in enumerate((3, 2)):
        each = [rows[task, position] + learned[task, position] for position in range(count)]
        torch.testing.assert_close(weights["patch.bias"][task], torch.arange(5.0) + sum(each) / count)


@pytest.mark.parametrize("shape", [(4,), (4, 3)])
@pytest.mark.parametrize("keep_rows", [None, torch.tensor([[True, False, True], [False, True, True]])])
def test_class_row_dropout_leaves_a_class_nothing_of_its_own(shape: tuple[int, ...], keep_rows: Tensor | None) -> None:
    table = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rows = own_rows(table, CLASSES, keep_rows)
    for task, position in torch.cartesian_prod(torch.arange(2), torch.arange(3)):
        kept = keep_rows is None or keep_rows[task, position]
        assert torch.equal(rows[task, position], table[CLASSES[task, position]] * (1 if kept else 0))
