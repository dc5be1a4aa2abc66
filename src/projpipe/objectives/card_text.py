"""The sentences of a model card that depend on what the model does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CardText:
    """What a card says in its own words.

    `purpose` follows 'A small Vision Transformer that', with '3 classes' instead of its braces; `of_teacher` says what
    the teacher's score holds for; `pipeline_tag` is the Hugging Face hub's.
    """

    purpose: str
    pipeline_tag: str
    heading_of_classes: str
    of_teacher: str
    use: str
    caution: str
