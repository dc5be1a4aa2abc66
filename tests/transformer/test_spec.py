"""Shapes of students."""

import pytest
import timm

from projpipe.errors import InputError
from projpipe.transformer.spec import TransformerSpec


def test_a_spec_survives_json(source) -> None:
    assert TransformerSpec.from_json(source.spec.to_json()) == source.spec


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((13, 2, 4, 2.0), "embed_dim 13 is not divisible by num_heads 4"),
        ((48, 2, 4, 2.0), "wider or deeper than its teacher"),
        ((24, 9, 4, 2.0), "wider or deeper than its teacher"),
        ((24, 4, 3, 2.0), "make the student smaller"),
        ((12, 2, 2, 0.01), "raise mlp_ratio"),
    ],
)
def test_a_student_that_cannot_be_is_refused(source, size: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        source.spec.student(*size)


def test_deployed_params_counts_what_timm_counts(source) -> None:
    spec = source.spec.student(12, 2, 2, 1.5)
    model = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=8,
        patch_size=4,
        in_chans=1,
        embed_dim=12,
        depth=2,
        num_heads=2,
        mlp_ratio=1.5,
        no_embed_class=True,
        num_classes=7,
    )
    assert spec.deployed_params(7) == sum(parameter.numel() for parameter in model.parameters())
