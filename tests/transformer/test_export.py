"""The exported timm model computes what training computed."""

import pytest
import timm
import torch

from projpipe.methods.task_model import TaskModel
from projpipe.methods.universal_model import UniversalModel
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.teacher.activations import activation_statistics
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.spec import TransformerSpec

LAYOUTS = [
    {},
    {"global_pool": "avg", "class_token": False},
    {"reg_tokens": 2},
    {"global_pool": "avg", "fc_norm": False},
    {"pre_norm": True, "act_layer": "quick_gelu"},
]


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Move every parameter off its init, so that each term of the conditioning is at work."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", ["projected", "universal"])
def test_task_batched_forward_equals_the_exported_model(method: str, layout: dict, images: torch.Tensor) -> None:
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 3, "in_chans": 1}
    teacher = shaken(timm.create_model("vit_tiny_patch16_224", num_classes=10, **sizes, **layout)).eval()
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    student = source.spec.student(12, 2, 2, 1.5)
    if method == "projected":
        generator = ProjectionOperator(source, student, Conditioning(3, True, 8), seed=0)
    else:
        generator = UniversalModel(source, student, 8, seed=0)
    model = TaskModel(shaken(generator)).eval()

    tasks = [[0, 3, 4], [9, 2, 5]]
    batch = images.view(2, 16, 1, 8, 8)
    with torch.no_grad():
        (together,), _ = model(batch, torch.tensor(tasks), torch.ones(2, 3, dtype=torch.bool))
        for logits, task, own_images in zip(together, tasks, batch, strict=True):
            exported = model.specialise(task)
            assert type(exported) is timm.models.VisionTransformer
            assert (exported(own_images) - logits).abs().max() <= 1e-5
    assert (together[0] - together[1]).abs().max() > 1e-3
