"""Classification: what images, losses and scores are, against the definitions written out."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from makers import dataset_card, teacher_config
from projpipe.errors import InputError
from projpipe.objectives import Classification, objective_from_json
from projpipe.objectives.batch import Batch
from projpipe.transformer.spec import TransformerSpec

MEAN, STD = [0.1, 0.4], [0.5, 2.0]
COLOURS = Classification(MEAN, STD, (2, 3, 4))
GENERATOR = np.random.default_rng(0)
PICTURES = GENERATOR.integers(0, 256, (5, 3, 4, 2), dtype=np.uint8)
MIRROR = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_images_are_read_as_shares_of_white_less_the_mean_over_the_deviation() -> None:
    encoded = COLOURS.encode(PICTURES)
    assert encoded.shape[1:] == COLOURS.blank(1).shape[1:]
    for image, row, column, channel in np.ndindex(PICTURES.shape):
        expected = (PICTURES[image, row, column, channel] / 255 - MEAN[channel]) / STD[channel]
        assert encoded[image, channel, row, column].item() == pytest.approx(expected, abs=1e-5)


def test_an_image_seen_in_a_mirror_is_read_from_the_right() -> None:
    mirrored = COLOURS.encode(PICTURES, MIRROR.expand(5, 2, 3))
    torch.testing.assert_close(mirrored, COLOURS.encode(PICTURES[:, :, ::-1].copy()), atol=1e-5, rtol=1e-5)


def test_pictures_with_black_and_white_swapped_are_read_as_the_images_that_trained() -> None:
    of_pictures = COLOURS.of_pictures(inverted=True)
    torch.testing.assert_close(of_pictures.encode(255 - PICTURES), COLOURS.encode(PICTURES), atol=1e-5, rtol=1e-5)
    assert COLOURS.of_pictures(inverted=False) == COLOURS


def test_it_comes_back_from_json() -> None:
    assert objective_from_json(json.loads(json.dumps(COLOURS.to_json()))) == COLOURS


# --- losses and scores, of two tasks with 2 and 3 classes

LOGITS = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)) * 2
TEACHER = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)) * 2
MASK = torch.tensor([[True, True, False], [True, True, True]])
LABELS = torch.tensor([[0, 1, 1, 0], [2, 0, 1, 2]])


def a_batch() -> Batch:
    classes = torch.tensor([[4, 2, 4], [0, 1, 2]])
    return Batch(torch.zeros(2, 4, 2, 3, 4), LABELS, TEACHER, classes, MASK, torch.ones_like(MASK))


def students() -> Tensor:
    """Logits as the forward pass gives them: very negative where a class only fills up a row."""
    return LOGITS.masked_fill(~MASK[:, None], -1e9)


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def mean_over_images(of_image: Any) -> float:
    """Of `of_image(logits, teacher's logits, label)`, which sees the classes of the image's task alone."""
    return np.mean(
        [
            of_image(LOGITS[task, image, :count].tolist(), TEACHER[task, image, :count].tolist(), LABELS[task, image])
            for task, count in enumerate((2, 3))
            for image in range(4)
        ]
    ).item()


def cross_entropy(logits: list[float], _: list[float], label: int) -> float:
    return -math.log(softmax(logits)[label])


def divergence(temperature: float) -> Any:
    """Kullback-Leibler divergence from the teacher at a temperature, with the size of its gradient kept."""

    def of_image(logits: list[float], teacher: list[float], _: int) -> float:
        said, expected = (softmax([value / temperature for value in values]) for values in (logits, teacher))
        return temperature**2 * sum(p * math.log(p / q) for p, q in zip(expected, said, strict=True))

    return of_image


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_mixes_cross_entropy_with_the_divergence_from_the_teacher(weight: float, temperature: float) -> None:
    expected = (1 - weight) * mean_over_images(cross_entropy) + weight * mean_over_images(divergence(temperature))
    assert COLOURS.loss(students(), a_batch(), weight, temperature).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_teacher_learns_the_class_and_with_smoothing_a_little_of_every_other(smoothing: float) -> None:
    model, images, labels = classifier(), COLOURS.encode(PICTURES), torch.tensor([0, 5, 1, 3, 2])
    chances = [softmax(logits) for logits in model(images).tolist()]
    wanted = [[smoothing / 6 + (1 - smoothing) * (position == label) for position in range(6)] for label in labels]
    expected = np.mean(
        [-sum(p * math.log(q) for p, q in zip(*pair, strict=True)) for pair in zip(wanted, chances, strict=True)]
    )
    loss = COLOURS.training_loss(model, images, labels, smoothing, torch.Generator())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    if not smoothing:
        assert COLOURS.source_loss(model(images), images, labels).item() == pytest.approx(expected, rel=1e-5)


def test_a_score_is_whether_no_other_class_has_a_higher_logit() -> None:
    logits, targets = LOGITS.flatten(0, 1), LABELS.flatten()
    expected = [
        float(max(range(3), key=row.__getitem__) == target)
        for row, target in zip(logits.tolist(), targets, strict=True)
    ]
    assert 0 < sum(expected) < 8
    assert COLOURS.scores(logits, torch.zeros(8), targets).tolist() == expected
    assert COLOURS.masked_scores(logits, targets).tolist() == expected


def test_students_are_taught_the_stored_logits_of_their_tasks_classes() -> None:
    stored, classes = torch.randn(2, 4, 5), torch.tensor([[4, 2, 4], [0, 1, 3]])
    found = COLOURS.of_task(stored, classes)
    for task, image, position in np.ndindex(2, 4, 3):
        assert found[task, image, position] == stored[task, image, classes[task, position]]


# --- what people are shown


def classifier() -> nn.Module:
    """A linear model of six classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 6)).requires_grad_(False)


def test_what_a_teacher_answers_is_among_the_classes_of_the_task() -> None:
    model, classes = classifier(), [5, 1, 2]
    of_task = nn.Sequential(model, nn.Linear(6, 3, bias=False)).requires_grad_(False)
    of_task[1].weight.copy_(torch.eye(6)[classes])
    logits = model(COLOURS.encode(PICTURES))
    best = [max(range(3), key=lambda position: row[classes[position]]) for row in logits.tolist()]
    for one in (model, of_task):
        assert COLOURS.answers(one, PICTURES, classes).tolist() == best


# --- where the normalisation comes from


def fit(channels: int = 1, **changes: Any) -> Classification:
    return Classification.fit(teacher_config(**changes), dataset_card(channels))


@pytest.mark.parametrize(
    ("weights", "channels", "mean"), [("random", 3, 0.3), ("pretrained", 3, 0.5), ("pretrained", 1, 0.5)]
)
def test_images_are_normalised_as_pretrained_weights_expect_them(weights: str, channels: int, mean: float) -> None:
    architecture = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    objective = fit(channels, architecture=architecture, weights=weights)
    assert objective.mean == channels * [mean]
    config = teacher_config(architecture=architecture, weights=weights)
    assert objective.teacher_arguments(config, dataset_card(channels)).settings.mean == objective.mean


def test_images_are_normalised_as_the_config_says(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = fit(weights="own.safetensors")
    assert (found.mean, found.std, found.image_shape) == ([0.3], [0.4], (1, 8, 8))
    assert "mean and deviation of the train split: [0.3], [0.4]" in caplog.text
    own = fit(weights="own.safetensors", normalisation={"mean": [0.5], "std": [0.2]})
    assert (own.mean, own.std) == ([0.5], [0.2])
    with pytest.raises(InputError, match=r"normalisation: 3 means and 1 deviations are not one for each .* 1 channels"):
        fit(weights="own.safetensors", normalisation={"mean": [0.5] * 3, "std": [0.2]})


def test_a_decoder_is_no_teacher_of_classifiers(decoder: tuple[TransformerSpec, Any]) -> None:
    with pytest.raises(InputError, match=r"arguments\.global_pool: a classifier needs one; leave it out or set it"):
        COLOURS.check_teacher(decoder[0])
