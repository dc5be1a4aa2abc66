"""What is accepted folds exactly; all else is refused in one sentence that names the obstacle."""

from typing import Any

import pytest
import timm
import torch
from timm.layers import SwiGLU
from timm.models.vision_transformer import ResPostBlock

from projpipe.errors import InputError
from projpipe.transformer.architecture import check_architecture, check_supported
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}


class WideEps(torch.nn.LayerNorm):
    """A LayerNorm whose every second one has another eps."""

    made = 0

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "eps": 1e-6 * (1 + WideEps.made % 2)})
        WideEps.made += 1


def make(architecture: str = "vit_tiny_patch16_224", **arguments: Any) -> torch.nn.Module:
    """A small model of an architecture, moved off its neutral init."""
    model = timm.create_model(architecture, **{**SIZES, **arguments}).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@pytest.mark.parametrize(
    "architecture",
    [
        "vit_tiny_patch16_224",
        "vit_base_patch16_gap_224",
        "vit_base_patch14_dinov2",
        "vit_base_patch14_reg4_dinov2",
        "vit_medium_patch16_reg4_gap_256",
        "eva_large_patch14_196",
        "deit3_small_patch16_224",
        "flexivit_small",
        "test_vit",
        "vit_base_patch16_clip_224",
        "vit_base_patch16_clip_quickgelu_224",
        "vit_base_patch32_siglip_gap_256",
    ],
)
def test_what_is_accepted_folds_exactly(architecture: str) -> None:
    check_architecture(architecture)
    model = make(architecture)
    check_supported(model)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    weights = {name: tensor[None] for name, tensor in canonical_weights(model).items()}
    with torch.no_grad():
        folded = forward_students(TransformerSpec.of(model), weights, images[None])[0]
        torch.testing.assert_close(folded, model(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "obstacle"),
    [
        ({"qk_norm": True}, "a normalisation inside its attention"),
        ({"scale_attn_norm": True}, "a normalisation inside its attention"),
        ({"scale_mlp_norm": True}, "a normalisation inside its MLPs"),
        ({"mlp_layer": SwiGLU}, "MLPs of kind SwiGLU"),
        ({"attn_layer": "diff"}, "attention of kind DiffAttention"),
        ({"act_layer": "relu"}, "the activation ReLU"),
        ({"norm_layer": "rmsnorm"}, "normalisations of kind RmsNorm"),
        ({"norm_layer": WideEps}, "LayerNorms of different eps"),
        ({"global_pool": "map"}, "pooling 'map'"),
        ({"global_pool": "max"}, "pooling 'max'"),
        ({"global_pool": "avg", "pool_include_prefix": True}, "prefix tokens in its average"),
        ({"final_norm": False}, "no final normalisation"),
        ({"patch_drop_rate": 0.5}, "dropped patches"),
        ({"patch_size": (8, 4)}, "not square"),
        ({"block_fn": ResPostBlock}, "blocks of kind ResPostBlock"),
        ({"num_classes": 0}, "no linear classifier"),
    ],
)
def test_what_cannot_be_projected_is_refused(arguments: dict[str, Any], obstacle: str) -> None:
    with pytest.raises(InputError, match=obstacle) as refusal:
        check_supported(make(**arguments))
    assert "'vit_tiny_patch16_224' has" in str(refusal.value)
    assert "choose a plain VisionTransformer" in str(refusal.value)


def test_several_obstacles_are_named_together_and_once() -> None:
    with pytest.raises(InputError) as refusal:
        check_supported(make(qk_norm=True, global_pool="map"))
    assert str(refusal.value).count("inside its attention") == 1
    assert "pooling 'map'" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("resnet18", "ResNet"),
        ("deit_tiny_distilled_patch16_224", "VisionTransformerDistilled"),
        ("eva02_tiny_patch14_224", "Eva"),
        ("swin_tiny_patch4_window7_224", "SwinTransformer"),
    ],
)
def test_other_kinds_of_model_are_refused(name: str, kind: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is a {kind}, which cannot be projected"):
        check_architecture(name)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"'vit_tinny_patch16_224' is not a model.*mean 'vit_tiny_patch16_224'"):
        check_architecture("vit_tinny_patch16_224")
    with pytest.raises(InputError, match=r"list_models\('vit_\*'\)` lists what there is"):
        check_architecture("7")


def test_an_unknown_tag_gets_the_nearest_one() -> None:
    check_architecture("vit_tiny_patch16_224.augreg_in21k")
    with pytest.raises(InputError, match=r"did you mean 'vit_tiny_patch16_224\.augreg_in21k'"):
        check_architecture("vit_tiny_patch16_224.augreg_in21")
