"""Folding keeps what the source computes, whatever its token layout."""

from functools import partial

import pytest
import timm
import torch

from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

LAYOUTS = {
    "class token": {},
    "average pooling with fc_norm": {"global_pool": "avg", "class_token": False},
    "average pooling after the norm": {"global_pool": "avg", "fc_norm": False},
    "register tokens": {"reg_tokens": 3, "no_embed_class": True},
    "embedded register tokens": {"reg_tokens": 2},
    "no_embed_class": {"no_embed_class": True},
    "LayerScale": {"init_values": 0.5},
    "no qkv bias": {"qkv_bias": False},
    "no position": {"pos_embed": "none"},
    "a normalisation before the blocks": {"pre_norm": True, "norm_layer": partial(torch.nn.LayerNorm, eps=1e-5)},
    "QuickGELU": {"act_layer": "quick_gelu"},
    "GELU by tanh": {"act_layer": "gelu_tanh"},
}


def perturbed(model: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    return model.eval()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_folded_weights_give_the_outputs_of_the_timm_model(layout: dict, images: torch.Tensor) -> None:
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "in_chans": 1}
    model = perturbed(timm.create_model("vit_tiny_patch16_224", num_classes=5, **sizes, **layout))
    weights = {name: tensor[None] for name, tensor in canonical_weights(model).items()}
    with torch.no_grad():
        expected = model(images)
        folded = forward_students(TransformerSpec.of(model), weights, images[None])[0]
    torch.testing.assert_close(folded, expected, atol=1e-5, rtol=1e-5)


def test_folding_leaves_the_model_as_it_was(teacher: torch.nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    canonical_weights(teacher)["q.weight"].zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
