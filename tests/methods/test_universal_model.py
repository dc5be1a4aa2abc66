"""The universal model: FiLM folded into weights is FiLM."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.methods.model_init import principal_init, selected_init
from projpipe.methods.universal_model import UniversalModel
from projpipe.projection.source import Source
from projpipe.transformer.canonical import Weights
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import TransformerSpec

TASKS = torch.tensor([[0, 3, 4], [9, 2, 5]])
MASK = torch.ones(2, 3, dtype=torch.bool)


def make_model(source: Source, seed: int = 0) -> UniversalModel:
    """Two blocks of width 12, untrained."""
    return UniversalModel(source, source.spec.student(12, 2, 2, 1.5), task_embed_dim=8, seed=seed)


@pytest.fixture
def model(source: Source) -> UniversalModel:
    """A model with every parameter off its init, so that FiLM and the classes' own rows are at work."""
    model, generator = make_model(source), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.requires_grad_(False)


def unfolded(model: UniversalModel, classes: Tensor, images: Tensor) -> Tensor:
    """Logits `[B, K]` for one task: a plain forward pass that scales and shifts after every LayerNorm."""
    spec, own = model.spec, model.weights
    task = model.encoder(classes[None], torch.ones(1, len(classes), dtype=torch.bool))
    gains_and_shifts = iter(model.film(task).view(2 * spec.depth + 1, 2, spec.embed_dim))

    def normalise(x: Tensor) -> Tensor:
        gain, shift = next(gains_and_shifts)
        return F.layer_norm(x, (spec.embed_dim,), eps=1e-6) * (1 + gain) + shift

    def linear(x: Tensor, name: str, layer: int) -> Tensor:
        return x @ own[f"{name}_weight"][layer].T + own[f"{name}_bias"][layer]

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (spec.num_heads, spec.head_dim)).transpose(1, 2)

    kernel = own["patch_weight"].view(spec.embed_dim, spec.in_chans, spec.patch_size, spec.patch_size)
    patches = F.conv2d(images, kernel, own["patch_bias"], stride=spec.patch_size).flatten(2).transpose(1, 2)
    prefix = torch.cat([own["prefix"], model.task_token(task)]).expand(len(images), -1, -1)
    x = torch.cat([prefix, patches + own["pos"]], dim=1)
    for layer in range(spec.depth):
        y = normalise(x)
        q, k, v = (split(linear(y, name, layer)) for name in "qkv")
        attended = (q @ k.mT / spec.head_dim**0.5).softmax(-1) @ v
        x = x + linear(attended.transpose(1, 2).flatten(2), "out", layer)
        x = x + linear(F.gelu(linear(normalise(x), "fc1", layer)), "fc2", layer)
    rows = model.class_rows(model.encoder.features[classes]) / spec.embed_dim**0.5 + model.own["head_weight"][classes]
    return normalise(x[:, 0]) @ rows.T + model.own["head_bias"][classes]


def test_folded_film_is_a_gain_and_a_shift_after_every_layer_norm(model: UniversalModel, images: Tensor) -> None:
    batches = images.view(2, 16, 1, 8, 8)
    together = forward_students(model.spec, model(TASKS, MASK), batches)
    for logits, classes, batch in zip(together, TASKS, batches, strict=True):
        torch.testing.assert_close(logits, unfolded(model, classes, batch), atol=2e-5, rtol=1e-4)


def test_film_moves_the_logits(model: UniversalModel, images: Tensor) -> None:
    batches = images.view(2, 16, 1, 8, 8)
    with_film = forward_students(model.spec, model(TASKS, MASK), batches)
    model.film.weight.zero_()
    model.film.bias.zero_()
    assert (forward_students(model.spec, model(TASKS, MASK), batches) - with_film).abs().max() > 1e-2


def test_at_the_start_film_is_inert(source: Source) -> None:
    model = make_model(source)
    weights = model(TASKS, MASK)
    for name in ("q.weight", "k.bias", "v.weight", "fc1.weight", "fc1.bias"):
        assert torch.equal(weights[name], model.weights[name.replace(".", "_")].expand_as(weights[name]))
    first, second = weights["prefix"]
    assert torch.equal(first[:1], second[:1])
    assert (first[1] - second[1]).abs().max() > 1e-3  # the task token alone tells the tasks apart


@pytest.mark.parametrize("make_init", [selected_init, principal_init])
def test_a_model_that_starts_from_the_source_has_its_classifier_for_new_classes_too(
    make_init: Callable[[Source, TransformerSpec], Weights], source: Source
) -> None:
    spec = source.spec.student(12, 2, 2, 1.5)
    expected = make_init(source, spec)
    model = UniversalModel(source, spec, 8, 0, expected)
    for keep_rows in (None, torch.zeros(2, 3, dtype=torch.bool), MASK):
        weights = model(TASKS, MASK, keep_rows)
        for name in ("head.weight", "head.bias"):
            torch.testing.assert_close(weights[name], expected[name][TASKS])


def test_class_row_dropout_takes_a_class_for_a_new_one(source: Source) -> None:
    model = make_model(source)
    new = model(TASKS, MASK)
    with torch.no_grad():
        for table in model.own.values():
            table += 1.0
    keep_rows = torch.tensor([[True, False, True], [False, False, True]])
    weights = model(TASKS, MASK, keep_rows)
    for name in ("head.weight", "head.bias"):
        added = weights[name] - new[name]
        torch.testing.assert_close(added, keep_rows.view(2, 3, *(1,) * (added.ndim - 2)).expand_as(added).float())


def test_a_class_that_was_never_seen_has_a_classifier_row_and_learns_nothing_of_its_own(
    source: Source, images: Tensor
) -> None:
    model = make_model(source)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    logits = forward_students(model.spec, model(torch.tensor([[0, 1, 2]]), MASK[:1]), images[None])
    F.cross_entropy(logits[0], torch.zeros(32, dtype=torch.long)).backward()
    optimizer.step()
    with torch.no_grad():
        seen, unseen = model(torch.tensor([[0, 1, 2], [7, 8, 9]]), MASK)["head.weight"]
    own = model.own["head_weight"]
    assert own[:3].abs().amax(1).min() > 0
    assert own[3:].abs().max() == 0
    assert torch.linalg.matrix_rank(torch.cat([seen, unseen])) == 6


def test_what_is_exported_computes_what_training_computed(model: UniversalModel, images: Tensor) -> None:
    batches, weights = images.view(2, 16, 1, 8, 8), model(TASKS, MASK)
    together = forward_students(model.spec, weights, batches)
    for task, batch in enumerate(batches):
        exported = export_student(model.spec, {name: tensor[task] for name, tensor in weights.items()})
        torch.testing.assert_close(exported(batch), together[task], atol=1e-5, rtol=0)


def test_what_is_exported_has_the_size_of_a_student_and_one_token_more(model: UniversalModel) -> None:
    weights = {name: tensor[0] for name, tensor in model(TASKS, MASK).items()}
    exported = export_student(model.spec, weights)
    params = sum(parameter.numel() for parameter in exported.parameters())
    assert params == model.spec.deployed_params(num_classes=3) + model.spec.embed_dim
    assert exported.num_prefix_tokens == model.spec.num_prefix_tokens + 1


def test_the_seed_alone_decides_the_init(source: Source) -> None:
    def init(seed: int) -> Tensor:
        return torch.cat([value.flatten() for value in make_model(source, seed).state_dict().values()])

    torch.manual_seed(0)
    first = init(0)
    torch.manual_seed(1)
    assert torch.equal(first, init(0))
    assert not torch.equal(first, init(1))
