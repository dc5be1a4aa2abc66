import json

from projpipe.objectives.teacher_card import TeacherCard

CARD = TeacherCard(
    architecture="vit_tiny_patch16_224",
    arguments={"img_size": [8, 8], "class_token": False},
    weights="pretrained",
    license="apache-2.0",
    params=450_000,
    metric="accuracy",
    score={"train": 0.99, "validation": 0.97, "test": 0.96},
    dataset_sha256="5f",
    data={"name": "digits", "mean": [0.3]},
    training={"seed": 0, "training": {"epochs": 30}},
    versions={"timm": "1"},
)


def test_it_comes_back_from_json() -> None:
    assert TeacherCard.from_json(json.loads(json.dumps(CARD.to_json()))) == CARD
