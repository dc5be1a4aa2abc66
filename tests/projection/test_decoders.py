"""Projecting decoders: the classes of a task are in the students' weights."""

import pytest
import torch
from torch import Tensor

from projpipe.methods.model_init import selected_init
from projpipe.methods.universal_model import UniversalModel
from projpipe.objectives import ImageModeling
from projpipe.projection import initialisation
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.transformer.class_weights import told
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students

CLASSES = torch.tensor([[0, 1], [3, 0]])
MASK = torch.tensor([[True, True], [True, False]])


@pytest.fixture
def two_tasks(all_images: Tensor) -> Tensor:
    return all_images[None].expand(2, -1, -1, -1, -1)


def test_a_student_as_large_as_its_source_is_the_source_told_the_task(
    decoder_source: Source, static: Conditioning, two_tasks: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialisation, "NOISE", 0.0)
    operator = ProjectionOperator(decoder_source, decoder_source.spec, static, seed=0)
    expected = told(decoder_source.spec, decoder_source.weights, CLASSES, MASK)
    with torch.no_grad():
        projected = forward_students(decoder_source.spec, operator(CLASSES, MASK), two_tasks)
    source = forward_students(decoder_source.spec, expected, two_tasks)
    torch.testing.assert_close(projected, source, atol=1e-4, rtol=1e-4)
    assert (source[0] - source[1]).abs().max() > 0.01


def test_projected_decoders_carry_no_condition_and_are_exported_as_they_are(
    decoder_source: Source, every_term: Conditioning, modeling: ImageModeling, all_images: Tensor, two_tasks: Tensor
) -> None:
    student = decoder_source.spec.student(8, 1, 2, 1.0)
    operator = ProjectionOperator(decoder_source, student, every_term, seed=0, class_map=True)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        weights = operator(CLASSES, MASK)
        together = forward_students(student, weights, two_tasks)
    assert "condition.weight" not in weights
    for task in range(2):
        own = {name: tensor[task if len(tensor) > 1 else 0] for name, tensor in weights.items()}
        model = export_student(student, own)
        assert model.in_chans == modeling.tokens.symbols + 1
        torch.testing.assert_close(modeling.logits(model, all_images), together[task], atol=1e-5, rtol=1e-5)


def test_what_was_learned_for_a_class_is_left_out_where_it_is_taken_for_a_new_one(
    decoder_source: Source, static: Conditioning
) -> None:
    operator = ProjectionOperator(decoder_source, decoder_source.spec.student(8, 1, 2, 1.0), static, seed=0)
    new = operator(CLASSES, MASK)["patch.bias"]
    with torch.no_grad():
        operator.free["condition_weight"] += 1.0
    keep_rows = torch.tensor([[True, False], [True, True]])
    added = operator(CLASSES, MASK, keep_rows)["patch.bias"] - new
    torch.testing.assert_close(added, torch.tensor([[0.5], [1.0]]).expand(-1, 8))


def test_the_universal_decoder_is_of_the_same_size_and_is_told_the_task(
    decoder_source: Source, modeling: ImageModeling, all_images: Tensor, two_tasks: Tensor
) -> None:
    student = decoder_source.spec.student(8, 1, 2, 1.0)
    universal = UniversalModel(decoder_source, student, task_embed_dim=8, seed=0)
    with torch.no_grad():
        weights = universal(CLASSES, MASK)
        together = forward_students(student, weights, two_tasks)
    assert (together[0] - together[1]).abs().max() > 1e-4
    alone = export_student(student, {name: tensor[0] for name, tensor in weights.items()})
    torch.testing.assert_close(modeling.logits(alone, all_images), together[0], atol=1e-5, rtol=1e-5)
    projected = student.deployed_params(modeling.tokens.symbols)
    assert sum(parameter.numel() for parameter in alone.parameters()) == projected + student.embed_dim  # one token more


def test_a_universal_decoder_can_start_with_selected_weights(decoder_source: Source) -> None:
    student = decoder_source.spec.student(8, 1, 2, 1.0)
    universal = UniversalModel(decoder_source, student, 8, 0, selected_init(decoder_source, student))
    table = decoder_source.weights["condition.weight"]
    assert universal.selected_rows.shape == (4, 8)
    assert torch.isin(universal.selected_rows[0], table[0]).all()
    assert universal(CLASSES, MASK)["head.weight"].shape == (2, 3, 8)
