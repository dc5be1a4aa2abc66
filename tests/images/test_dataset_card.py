import json

from projpipe.images.dataset_card import DatasetCard

CARD = DatasetCard(
    name="pets",
    image_size=(2, 3),
    channels=3,
    inverted=True,
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
    classes=("cat", "dög"),
    groups=("", "large"),
    held_out_classes=(1,),
    images={"train": 15, "validation": 6, "test": 9},
    unreadable=("a/b.png", "\udce4.png"),
    sha256="5f",
)


def test_it_comes_back_from_json() -> None:
    assert DatasetCard.from_json(json.loads(json.dumps(CARD.to_json()))) == CARD


def test_its_keys_are_in_the_order_of_the_file() -> None:
    assert json.dumps(CARD.to_json()).startswith(
        '{"name": "pets", "image_size": [2, 3], "channels": 3, "inverted": true, "mean": [0.1, 0.2, 0.3], "std": '
    )


def test_cards_of_before_that_name_no_repeated_images_are_read() -> None:
    older = {key: value for key, value in CARD.to_json().items() if key != "repeated"}
    assert DatasetCard.from_json(older) == CARD
