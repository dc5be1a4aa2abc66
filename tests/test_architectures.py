"""docs/architectures.md is true: what it accepts folds exactly and gives students, of every layout that timm has."""

import importlib.util
from pathlib import Path

import pytest
import timm
import torch

from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.teacher.activations import activation_statistics
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

SCRIPT = Path(__file__).parents[1] / "docs/architectures.py"
PLAIN = (
    0.9  # least share of the plain ones, which have blocks of LayerNorm, attention, LayerNorm and MLP, that is accepted
)
NOT_PLAIN = (
    "blocks of kind",
    "attention of kind",
    "MLPs of kind",
    "RmsNorm",
    "a normalisation inside",
    "'map'",
    "is a ",
)


def load_script():
    spec = importlib.util.spec_from_file_location("architectures", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


architectures = load_script()
REASONS = dict(architectures.refusals())


def layouts() -> list[str]:
    """The first accepted architecture of every layout: the others differ from it in sizes alone."""
    first: dict[str, str] = {}
    for name in (name for name, reason in REASONS.items() if not reason):
        with torch.device("meta"):
            model = timm.create_model(name, **architectures.SMALL)
        layout = f"{model} {model.global_pool} {model.no_embed_class} {model.pos_embed is None}"
        first.setdefault(layout, name)
    return list(first.values())


def test_the_page_is_up_to_date() -> None:
    assert architectures.PAGE.read_text(encoding="utf-8") == architectures.page(REASONS.items()), (
        f"run python {SCRIPT.name}"
    )


def test_nearly_all_plain_vision_transformers_can_be_teachers() -> None:
    plain = [reason for reason in REASONS.values() if not any(mark in reason for mark in NOT_PLAIN)]
    assert sum(not reason for reason in plain) >= PLAIN * len(plain)
    assert all("\n" not in reason for reason in REASONS.values())


@pytest.mark.parametrize("name", layouts())
def test_a_teacher_folds_exactly_and_its_students_are_exported_exactly(name: str) -> None:
    torch.manual_seed(0)
    teacher = timm.create_model(name, **architectures.SMALL).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    images = torch.randn(4, 3, 32, 32)
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    with torch.no_grad():
        weights = {key: tensor[None] for key, tensor in source.weights.items()}
        folded = forward_students(source.spec, weights, images[None])[0]
        torch.testing.assert_close(folded, teacher(images), atol=1e-4, rtol=1e-4)

        student = source.spec.student(12, 1, 3, 2.0)
        operator = ProjectionOperator(source, student, Conditioning(2, True, 8), seed=0)
        made = operator(torch.tensor([[1, 3]]), torch.ones(1, 2, dtype=torch.bool))
        expected = forward_students(student, made, images[None])[0]
        exported = export_student(student, {key: tensor[0] for key, tensor in made.items()})
        torch.testing.assert_close(exported(images), expected, atol=1e-5, rtol=1e-4)
    assert exported.num_prefix_tokens == teacher.num_prefix_tokens
    assert exported.global_pool == teacher.global_pool
