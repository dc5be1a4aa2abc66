import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from makers import dataset_card, teacher_config
from projpipe.config import ExtractTeacherConfig
from projpipe.errors import InputError
from projpipe.metric import BITS_PER_PIXEL, BITS_PER_TOKEN
from projpipe.objectives import ImageModeling, make_objective, objective_from_json
from projpipe.objectives.batch import Batch
from projpipe.objectives.tokens import Tokens
from projpipe.projection.source import Source
from projpipe.transformer.canonical import Weights
from projpipe.transformer.export import export_student
from projpipe.transformer.spec import TransformerSpec

SYMBOLS = 3  # of the fixtures


def likelihoods(logits: Tensor, images: Tensor) -> Tensor:
    return logits.log_softmax(-1).gather(-1, images.flatten(1)[..., None]).sum((1, 2)).exp()


def test_the_probabilities_of_all_images_add_up_to_one(
    modeling: ImageModeling, decoder: tuple[TransformerSpec, Weights], all_images: Tensor
) -> None:
    model = export_student(*decoder)
    bits = modeling.scores(modeling.logits(model, all_images), all_images, torch.zeros(81))
    assert (2.0 ** -(bits.double() * 4)).sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("told", [-1, 0, 3])
def test_so_do_those_of_a_teacher_whatever_it_is_told(
    told: int, modeling: ImageModeling, decoder_teacher: nn.Module, all_images: Tensor
) -> None:
    logits = modeling.teacher_logits(decoder_teacher, all_images, torch.full((81,), told))
    assert likelihoods(logits, all_images).sum().item() == pytest.approx(1, abs=1e-5)


def test_a_later_symbol_never_changes_what_was_said_before_it(
    modeling: ImageModeling, decoder: tuple[TransformerSpec, Weights]
) -> None:
    model = export_student(*decoder)
    first = torch.tensor([[0, 1, 2, 0]]).view(1, 1, 2, 2)
    for position in range(4):
        other = first.flatten().clone()
        other[position:] = (other[position:] + 1) % SYMBOLS
        before, after = (modeling.logits(model, image.view(1, 1, 2, 2))[0] for image in (first, other))
        assert torch.allclose(before[: position + 1], after[: position + 1], atol=1e-6)
        if position < 3:
            assert not torch.allclose(before[position + 1], after[position + 1], atol=1e-3)


def test_a_model_that_knows_nothing_takes_the_logarithm_of_the_number_of_symbols(modeling: ImageModeling) -> None:
    images = torch.randint(SYMBOLS, (5, 1, 2, 2))
    bits = modeling.scores(torch.zeros(5, 4, SYMBOLS), images, torch.zeros(5))
    assert bits.tolist() == pytest.approx([math.log2(SYMBOLS)] * 5)


def test_the_teacher_of_a_task_is_the_mixture_of_what_it_says_of_each_class(
    modeling: ImageModeling, decoder_teacher: nn.Module, all_images: Tensor
) -> None:
    scores = modeling.class_scores(decoder_teacher, all_images)
    assert scores.shape == (81, 4)
    each = [
        likelihoods(modeling.teacher_logits(decoder_teacher, all_images, torch.full((81,), c)), all_images)
        for c in (1, 3)
    ]
    expected = -(sum(each) / 2).log2() / 4  # type: ignore[arg-type]
    found = modeling.masked_scores(scores[:, [1, 3]], torch.zeros(81))
    assert torch.allclose(found, expected, atol=1e-5)
    assert (2.0 ** -(found.double() * 4)).sum().item() == pytest.approx(1, abs=1e-5)


def test_the_teacher_learns_to_do_without_the_class_for_some_images(
    modeling: ImageModeling, decoder_teacher: nn.Module, all_images: Tensor
) -> None:
    labels = torch.arange(81) % 4
    never, always = (ImageModeling(modeling.tokens, share) for share in (0.0, 1.0 - 1e-9))

    def loss(one: ImageModeling) -> float:
        return one.training_loss(decoder_teacher, all_images, labels, 0.0, torch.Generator().manual_seed(0)).item()

    def nats(told: Tensor) -> float:
        return (
            -likelihoods(modeling.teacher_logits(decoder_teacher, all_images, told), all_images).log().mean().item() / 4
        )

    assert loss(never) == pytest.approx(nats(labels), abs=1e-5)
    assert loss(always) == pytest.approx(nats(torch.full((81,), -1)), abs=1e-5)
    assert min(loss(never), loss(always)) < loss(modeling) + 0.5


def test_the_loss_is_the_likelihood_of_the_symbols_mixed_with_what_the_teacher_says(modeling: ImageModeling) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, teacher = (torch.randn(2, 3, 4, SYMBOLS, generator=generator) for _ in range(2))
    images = torch.randint(SYMBOLS, (2, 3, 1, 2, 2), generator=generator)
    ones = torch.ones(2, 1, dtype=torch.bool)
    batch = Batch(images, torch.zeros(2, 3), teacher.half(), torch.zeros(2, 1), ones, ones)
    told = -logits.log_softmax(-1).gather(-1, images.flatten(2)[..., None]).mean()
    expected, said = teacher.half().float().softmax(-1), logits.log_softmax(-1)
    divergence = (expected * (expected.log() - said)).sum(-1).mean()
    assert modeling.loss(logits, batch, 0.0, 1.0).item() == pytest.approx(told.item(), abs=1e-5)
    assert modeling.loss(logits, batch, 1.0, 1.0).item() == pytest.approx(divergence.item(), abs=1e-5)


def test_bits_are_for_pixels_where_symbols_tell_all_of_them_and_for_tokens_where_they_do_not() -> None:
    exact = ImageModeling(Tokens((4, 4), 2, 2, [[0.0] * 4, [1.0] * 4], lossless=True), 0.1)
    rough = ImageModeling(Tokens((4, 4), 2, 2, [[0.0] * 4, [1.0] * 4], lossless=False), 0.1)
    images, logits = torch.zeros(1, 1, 2, 2, dtype=torch.long), torch.zeros(1, 4, 2)
    assert (exact.metric, rough.metric) == (BITS_PER_PIXEL, BITS_PER_TOKEN)
    assert exact.scores(logits, images, torch.zeros(1)).item() == pytest.approx(4 / 16)
    assert rough.scores(logits, images, torch.zeros(1)).item() == pytest.approx(4 / 4)


def test_it_comes_back_from_json(modeling: ImageModeling) -> None:
    coded = ImageModeling(Tokens((4, 6), 2, 2, [[0.0] * 4, [1.0] * 4], lossless=False), 0.1, swapped=True)
    assert objective_from_json(modeling.to_json()) == modeling
    assert objective_from_json(coded.to_json()) == coded


def test_drawn_images_are_shown_with_black_and_white_as_they_were(modeling: ImageModeling) -> None:
    symbols = torch.tensor([0, 1, 2, 2]).view(1, 1, 2, 2)
    assert modeling.decode(symbols).flatten().tolist() == [0, 128, 255, 255]
    swapped = ImageModeling(modeling.tokens, 0.1, swapped=True)
    assert swapped.decode(symbols).flatten().tolist() == [255, 128, 0, 0]


def test_examples_are_drawn_and_a_teacher_draws_each_class_of_the_task(
    modeling: ImageModeling, make_decoder: Callable[..., nn.Module]
) -> None:
    pictures = np.zeros((5, 2, 2, 1), np.uint8)
    for model in (make_decoder(0), make_decoder(4)):
        drawn = modeling.examples(model, len(pictures), [1, 3], seed=0)
        assert drawn.shape == (5, 2, 2, 1)
        assert set(np.unique(drawn)) <= {0, 128, 255}


def config(**changes: Any) -> ExtractTeacherConfig:
    tokens = {"kind": "pixels", "levels": 5}
    return teacher_config(objective={"name": "image_modeling", "tokens": tokens, "unconditional": 0.1}, **changes)


CARD = dataset_card(image_size=(4, 4), images={"train": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "pretrained"}, "weights: timm has no pretrained models of images"),
        ({"arguments": {"patch_size": 2}}, "arguments.patch_size: the tokens decide this"),
        ({"augmentation": {"colour": 0.2}}, "augmentation.colour: images are grey in image_modeling"),
    ],
)
def test_what_no_decoder_can_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_objective(config(**changes), np.zeros((3, 4, 4, 1), np.uint8), np.arange(3), CARD)


def test_the_tokens_decide_on_patches_and_channels() -> None:
    asked = config(arguments={"depth": 2})
    objective = make_objective(asked, np.zeros((3, 4, 4, 1), np.uint8), np.arange(3), CARD)
    made = objective.teacher_arguments(asked, CARD)
    assert made.arguments["patch_size"] == 1
    assert made.in_chans == 5 + 1 + 2


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (Tokens((3, 2), 3), r"tokens: \[3, 2\] of 3 symbols are not 2 x 2 tokens of 3 symbols"),
        (Tokens((2, 2), 4), r"tokens: \[2, 2\] of 4 symbols are not"),
        (Tokens((4, 4), 3, 2), "tokens.codebook: there is none of patches of 4 pixels"),
        (Tokens((3, 4), 3, 2, [[0.0] * 4] * 3, False), r"tokens.patch_size: 2 does not divide \[3, 4\]"),
        (Tokens((4, 4), 3, 2, [[0.0] * 3] * 3, False), r"tokens.codebook: an entry is not 4 levels of 0\.\.2"),
        (Tokens((4, 4), 3, 2, [[9.0] * 4] * 3, False), r"tokens.codebook: an entry is not 4 levels of 0\.\.2"),
        (Tokens((4, 4), 3, 2, [[1.0] * 4] * 3, True), "tokens.lossless: is not true of 3 symbols"),
        (Tokens((2, 2), 3, lossless=False), "tokens.lossless: is not false of 3 symbols"),
    ],
)
def test_tokens_that_are_none_or_those_of_another_model_are_refused(
    tokens: Tokens, message: str, decoder_source: Source, modeling: ImageModeling
) -> None:
    modeling.check_spec(decoder_source.spec)
    ImageModeling(Tokens((4, 4), 3, 2, [[1.0] * 4] * 3, False), 0.1).check_spec(decoder_source.spec)
    with pytest.raises(InputError, match=message):
        ImageModeling(tokens, 0.1).check_spec(decoder_source.spec)
