"""The model card says what a model is, and is read as such: by the hub, and as Markdown."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token

from makers import CLASSIFIER
from projpipe.objectives import Classification, ImageModeling, Objective
from projpipe.students.model_card import model_card
from projpipe.transformer.export import export_student

TELLS_APART = Classification([0.5] * 3, [0.5] * 3, (3, 8, 12))
AWKWARD = ["<b>bag</b>", "Größe", "a_b_ *c* [d](e) `f` | g ~h~ $i$ # \\j", "two\n  lines", "&amp;"]
TEACHER = {
    "architecture": "vit_tiny_patch16_224",
    "arguments": {"depth": 4},
    "params": 10**6,
    "metric": "accuracy",
    "score": {"test": 0.9125},
    "license": "apache-2.0",
}


def card_of(classes: list[str] = AWKWARD, objective: Objective = TELLS_APART, **provenance: Any) -> str:
    return model_card(CLASSIFIER, classes, objective, provenance)


def parsed(card: str) -> list[Token]:
    """The card below its front matter, as Markdown."""
    return MarkdownIt("commonmark").enable("table").parse(card.split("---\n", 2)[2])


def text(token: Token) -> str:
    """What a reader sees of a line."""
    assert all(child.type in {"text", "text_special", "softbreak"} for child in token.children or []), token.content
    return "".join(child.content for child in token.children or [])


def facts(card: str) -> dict[str, str]:
    """The rows of the card's table, as a reader sees them."""
    tokens = parsed(card)
    cells = [text(tokens[index + 1]) for index, token in enumerate(tokens) if token.type == "td_open"]
    return dict(zip(cells[::2], cells[1::2], strict=True))


@pytest.mark.parametrize("license_name", ["apache-2.0", "no", "other: see 'LICENSE'"])
def test_the_hub_reads_what_the_front_matter_says(license_name: str, modeling: ImageModeling) -> None:
    for objective, tag in ((TELLS_APART, "image-classification"), (modeling, "unconditional-image-generation")):
        data = ModelCard(card_of(objective=objective, teacher={**TEACHER, "license": license_name})).data
        assert data.to_dict() == {
            "library_name": "timm",
            "pipeline_tag": tag,
            "tags": [tag, "timm", "projpipe"],
            "license": license_name,
        }


@pytest.mark.parametrize(("dataset", "named"), [("CIFAR-100", "cifar-100"), ("Omniglot, \x1b eight", "omniglot-eight")])
def test_the_hub_reads_what_was_measured_on_what(dataset: str, named: str) -> None:
    card = card_of(dataset=dataset, validation_score=0.875, teacher=TEACHER)
    data = ModelCard(card).data
    assert data.datasets == [named]
    (result,) = data.eval_results
    assert (result.task_type, result.dataset_type, result.dataset_split) == (
        "image-classification",
        named,
        "validation",
    )
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.875)
    assert ModelCard(card_of(dataset="日本", validation_score=0.875, teacher=TEACHER)).data.eval_results is None
    assert ModelCard(card_of(dataset=dataset, teacher=TEACHER)).data.eval_results is None


def test_a_fine_tuned_model_has_its_own_score_and_not_that_of_its_projectors_models() -> None:
    tuned = {"images": 9, "held_out": 10, "accuracy": {"before": 0.4, "after": 0.8}, "distilled": False}
    for dataset in ("CIFAR-100", None):
        (result,) = ModelCard(card_of(dataset=dataset, validation_score=0.875, fine_tuned=tuned)).data.eval_results
        assert (result.dataset_type, result.metric_type, result.metric_value) == ("imagefolder", "accuracy", 0.8)
        assert result.metric_name == "on 10 pictures held out of fine-tuning: 80.0 % [49.0, 94.3], 95 % interval"


def test_a_licence_that_is_not_known_is_not_made_up() -> None:
    card = card_of(teacher={key: value for key, value in TEACHER.items() if key != "license"})
    assert ModelCard(card).data.license is None
    assert facts(card)["licence"] == "not known"


def test_classes_are_numbered_in_their_order_and_shown_letter_by_letter() -> None:
    tokens = parsed(card_of())
    items = [text(tokens[index + 2]) for index, token in enumerate(tokens) if token.type == "list_item_open"]
    assert items == [" ".join(name.split()) for name in AWKWARD]
    (numbered,) = (token for token in tokens if token.type == "ordered_list_open")
    assert numbered.attrs.get("start", 1) == 1


def test_the_table_says_what_the_model_is_and_where_it_came_from() -> None:
    card = card_of(teacher=TEACHER, validation_score=0.875, versions={"projpipe": "1.2", "torch": "2.15"})
    weights = {name: torch.zeros(shape) for name, shape in CLASSIFIER.weight_shapes(len(AWKWARD)).items()}
    params = sum(parameter.numel() for parameter in export_student(CLASSIFIER, weights).parameters())
    assert facts(card) == {
        "parameters": f"{params:,}, {100 - params / 10**4:.1f} % fewer than its teacher",
        "multiply-accumulates an image": f"{CLASSIFIER.deployed_macs(len(AWKWARD)):,}",
        "size": "2 blocks x 12, 3 heads, 20 hidden units",
        "images": "8 x 12, 3 channels, in patches of 4 x 4",
        "teacher": 'timm\'s vit_tiny_patch16_224 with {"depth": 4}',
        "licence": "apache-2.0",
        "accuracy of the teacher on test images, all classes": "91.2 %",
        "mean accuracy of the projector's models on validation tasks": "87.5 %",
        "made with": "projpipe 1.2, torch 2.15",
    }


def test_what_is_not_known_is_left_out() -> None:
    assert facts(card_of()).keys() == {"parameters", "multiply-accumulates an image", "size", "images"}


def test_no_text_changes_the_terminal_that_a_card_is_shown_on() -> None:
    wild = "\x1b[31mred\x9b\u202e"
    teacher = {**TEACHER, "architecture": wild, "arguments": {wild: wild}, "license": wild}
    about = {"teacher": teacher, "dataset": wild, "held_out_classes": [wild], "versions": {wild: wild}}
    card = card_of([wild, "plain"], **about)
    assert card.replace("\n", "").isprintable()
    assert facts(card)["made with"] == r"\x1b[31mred\x9b\u202e \x1b[31mred\x9b\u202e"


@pytest.mark.parametrize(("classes", "title"), [(["a"], "1 class of digits"), (["a", "b"], "2 classes of digits")])
def test_the_title_counts_the_classes(classes: list[str], title: str) -> None:
    tokens = parsed(card_of(classes, dataset="digits"))
    assert text(tokens[1]) == title


def test_classes_that_no_training_task_had_are_named() -> None:
    assert "No training task" not in card_of()
    assert "No training task of the projector had Größe, a\\_b:" in card_of(held_out_classes=["Größe", "a_b"])


def test_an_image_model_is_said_to_draw(modeling: ImageModeling) -> None:
    spec = replace(CLASSIFIER, image_size=(2, 2), patch_size=1, in_chans=4, class_token=False, pool="", symbols=3)
    card = model_card(spec, ["a", "b"], modeling, {"teacher": {**TEACHER, "metric": "bits_per_pixel"}})
    assert "A small Vision Transformer that draws images of 2 classes" in card
    assert facts(card)["images"] == "2 x 2 tokens of 3 symbols, in patches of 1 x 1"
    assert "bits per pixel of the teacher on test images, told the class" in facts(card)
