"""Pruning a teacher for a task: what stays is the teacher's own, what matters most to the task, and fits the size."""

from collections.abc import Sequence

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from projpipe.errors import InputError
from projpipe.methods import pruning
from projpipe.methods.pruning import BATCH_SIZE, pruned_spec
from projpipe.transformer.architecture import check_supported
from projpipe.transformer.canonical import Weights, canonical_weights
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

LAYOUTS = {
    "class_token": {},
    "registers_and_average": {"class_token": False, "reg_tokens": 2, "global_pool": "avg", "init_values": 0.5},
    "no_positions_and_no_biases": {"pos_embed": "none", "qkv_bias": False, "reg_tokens": 1},
}
CLASSES = [7, 0, 4]
LABELS = torch.arange(32) % 3
SIZES = [1_500, 4_000, 9_000]  # of 12,000 to 13,000


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def teacher(request: pytest.FixtureRequest) -> VisionTransformer:
    """A teacher of 3 blocks x 24 with 3 heads, with nothing left at its neutral init."""
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "mlp_ratio": 2.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("vit_tiny_patch16_224", **sizes, in_chans=1, num_classes=10, **request.param).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def count(model: VisionTransformer) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def positions(part: Tensor, whole: Tensor) -> Tensor:
    """Where in `whole` `[M, n]` each row of `part` `[m, n]` is."""
    rows, where = (part[:, None] == whole).all(-1).nonzero(as_tuple=True)
    assert torch.equal(rows, torch.arange(len(part)))  # each is there, once
    return where


def kept_units(pruned: Weights, teacher: Weights) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Positions of the residual channels, and block by block of the dimensions of all heads and the hidden units."""
    channels = positions(pruned["patch.weight"], teacher["patch.weight"])
    heads, hidden = (
        [positions(part.T, whole[channels].T) for part, whole in zip(pruned[name], teacher[name], strict=True)]
        for name in ("out.weight", "fc2.weight")
    )
    return channels, heads, hidden


def prune_for_task(
    teacher: VisionTransformer, images: Tensor, labels: Tensor, classes: Sequence[int], params: int
) -> VisionTransformer:
    spec = pruned_spec(TransformerSpec.of(teacher), len(classes), params)
    return pruning.prune_for_task(teacher, images, labels, classes, spec)


def gradients(teacher: VisionTransformer, images: Tensor) -> None:
    """Leave the gradients for the task in the teacher: a softmax over its classes, out of all the teacher's logits."""
    F.cross_entropy(teacher(images)[:, CLASSES], LABELS).backward()


@pytest.mark.parametrize("params", SIZES)
def test_the_size_is_kept_and_made_use_of(teacher: VisionTransformer, images: Tensor, params: int) -> None:
    pruned = prune_for_task(teacher, images, LABELS, CLASSES, params)
    assert 0.9 * params <= count(pruned) <= params
    assert pruned(images).shape == (32, 3)


@pytest.mark.parametrize("params", SIZES)
def test_the_result_is_a_stock_model_that_is_read_as_any_other(
    teacher: VisionTransformer, images: Tensor, params: int
) -> None:
    pruned = prune_for_task(teacher, images, LABELS, CLASSES, params)
    check_supported(pruned)
    spec, weights = TransformerSpec.of(pruned), canonical_weights(pruned)
    assert spec == pruned_spec(TransformerSpec.of(teacher), 3, params)
    together = forward_students(spec, {name: tensor[None] for name, tensor in weights.items()}, images[None])[0]
    assert (together - pruned(images)).abs().max() <= 1e-4
    assert (export_student(spec, weights)(images) - pruned(images)).abs().max() <= 1e-4


def test_with_room_for_all_of_it_the_teacher_stays_as_it_is(teacher: VisionTransformer, images: Tensor) -> None:
    pruned = prune_for_task(teacher, images, LABELS, CLASSES, 1_000_000)
    assert (pruned(images) - teacher(images)[:, CLASSES]).abs().max() <= 1e-4


def test_what_is_kept_are_the_teachers_own_weights_in_their_places(teacher: VisionTransformer, images: Tensor) -> None:
    whole = canonical_weights(teacher)
    part = canonical_weights(prune_for_task(teacher, images, LABELS, CLASSES, 4_000))
    channels, heads, hidden = kept_units(part, whole)
    assert torch.equal(part["prefix"], whole["prefix"][:, channels])
    assert torch.equal(part["pos"], whole["pos"][:, channels])
    assert torch.equal(part["head.weight"], whole["head.weight"][CLASSES][:, channels])
    for block in range(3):
        for name, units in (("q", heads), ("k", heads), ("v", heads), ("fc1", hidden)):
            expected = whole[f"{name}.weight"][block][units[block]][:, channels]
            assert torch.equal(part[f"{name}.weight"][block], expected)
        for name in ("out", "fc2"):
            assert torch.equal(part[f"{name}.bias"][block], whole[f"{name}.bias"][block][channels])


def test_every_head_keeps_as_many_of_its_own_dimensions(teacher: VisionTransformer, images: Tensor) -> None:
    pruned = prune_for_task(teacher, images, LABELS, CLASSES, 4_000)
    _, heads, _ = kept_units(canonical_weights(pruned), canonical_weights(teacher))
    for dims in heads:
        assert torch.equal(dims // 8, torch.arange(3).repeat_interleave(TransformerSpec.of(pruned).head_dim))


def test_what_is_kept_has_the_largest_products_of_weight_and_gradient(
    teacher: VisionTransformer, images: Tensor
) -> None:
    pruned = prune_for_task(teacher, images, LABELS, CLASSES, 4_000)
    _, heads, hidden = kept_units(canonical_weights(pruned), canonical_weights(teacher))
    gradients(teacher, images)

    def taylor(weight: Tensor) -> Tensor:
        return (weight * weight.grad).abs()

    for block, dims, units in zip(teacher.blocks, heads, hidden, strict=True):
        of_units = taylor(block.mlp.fc1.weight).sum(1) + taylor(block.mlp.fc2.weight).sum(0)
        assert set(units.tolist()) == set(of_units.topk(len(units)).indices.tolist())
        of_dims = taylor(block.attn.qkv.weight).sum(1).view(3, 24).sum(0) + taylor(block.attn.proj.weight).sum(0)
        best = of_dims.view(3, 8).topk(len(dims) // 3).indices + torch.arange(3)[:, None] * 8
        assert set(dims.tolist()) == set(best.flatten().tolist())


def test_the_task_decides_what_is_kept(teacher: VisionTransformer, images: Tensor) -> None:
    whole = canonical_weights(teacher)
    kept = [
        kept_units(canonical_weights(prune_for_task(teacher, images, LABELS, classes, 4_000)), whole)[2]
        for classes in (CLASSES, [9, 2, 5])
    ]
    assert any(not torch.equal(one, other) for one, other in zip(*kept, strict=True))


def test_an_image_counts_the_same_in_whichever_batch_it_is(teacher: VisionTransformer, images: Tensor) -> None:
    copies = BATCH_SIZE // 32 + 1
    once = prune_for_task(teacher, images, LABELS, CLASSES, 4_000)
    often = prune_for_task(
        teacher, images.repeat_interleave(copies, 0), LABELS.repeat_interleave(copies), CLASSES, 4_000
    )
    assert torch.equal(once(images), often(images))


def test_the_same_inputs_give_the_same_model(teacher: VisionTransformer, images: Tensor) -> None:
    with torch.no_grad():
        first = prune_for_task(teacher, images, LABELS, CLASSES, 4_000).state_dict()
    torch.manual_seed(1)
    second = prune_for_task(teacher, images, LABELS, CLASSES, 4_000).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def test_the_teacher_is_left_as_it_is(teacher: VisionTransformer, images: Tensor) -> None:
    teacher.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    prune_for_task(teacher, images, LABELS, CLASSES, 4_000)
    after = teacher.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before.keys() | after.keys())
    assert teacher.head.out_features == 10
    assert not any(p.requires_grad or p.grad is not None for p in teacher.parameters())


def test_a_size_that_cannot_be_reached_is_refused_with_the_least_that_can(
    teacher: VisionTransformer, images: Tensor
) -> None:
    with pytest.raises(InputError, match=r"params: 200 is less than .* 3 blocks with 3 heads for 3 classes") as refusal:
        prune_for_task(teacher, images, LABELS, CLASSES, 200)
    least = int(str(refusal.value).rsplit(" ", 1)[1].replace(",", ""))
    assert count(prune_for_task(teacher, images, LABELS, CLASSES, least)) == least
    with pytest.raises(InputError, match=f"params: {least - 1} .* at least {least}"):
        prune_for_task(teacher, images, LABELS, CLASSES, least - 1)
