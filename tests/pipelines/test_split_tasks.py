import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image
from pydantic import ValidationError

from projpipe.config import SplitTasksConfig
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.errors import InputError
from projpipe.images.dataset_card import DatasetCard
from projpipe.pipelines.split_tasks import create_pipeline
from projpipe.schemas import IMAGE_INDEX, TASKS
from projpipe.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"


def parameters(environment: str, **changes: Any) -> SplitTasksConfig:
    """The parameters of an environment, with changes."""
    stated = EnvironmentConfigLoader(CONF, env=environment, **CONFIG_LOADER_ARGS)["parameters"]["split_tasks"]
    return SplitTasksConfig(**{**stated, **changes})


def run(config: SplitTasksConfig) -> dict[str, Any]:
    """Run the pipeline and load all it makes."""
    names = ("images", "index", "tasks", "dataset_card")
    catalog = DataCatalog({name: MemoryDataset() for name in names})
    catalog["params:split_tasks"] = MemoryDataset(config, copy_mode="assign")
    SequentialRunner().run(create_pipeline(), catalog)
    return {name: catalog[name].load() for name in names}


def digest(outputs: dict[str, Any]) -> str:
    """One hash of the bytes of all outputs."""
    text = outputs["index"].to_csv() + outputs["tasks"].to_csv() + json.dumps(outputs["dataset_card"].to_json())
    return hashlib.sha256(outputs["images"].tobytes() + text.encode()).hexdigest()


def check(outputs: dict[str, Any]) -> None:
    """What must hold for every source."""
    images, index, tasks, card = (outputs[name] for name in ("images", "index", "tasks", "dataset_card"))
    IMAGE_INDEX.validate(index, lazy=True)
    TASKS.validate(tasks, lazy=True)
    assert images.dtype == np.uint8
    assert images.shape == (len(index), *card.image_size, card.channels)
    assert sum(card.images.values()) == len(images)
    assert DatasetCard.from_json(card.to_json()) == card
    held_out = set(card.held_out_classes)
    for kind, class_ids in zip(tasks["kind"], tasks["class_ids"], strict=True):
        assert held_out.issuperset(class_ids) if kind == "new_class" else held_out.isdisjoint(class_ids)
        assert max(class_ids) < len(card.classes)
    assert tasks["class_ids"].map(tuple).is_unique
    assert tasks["name"].is_unique
    assert index.groupby("class_id")["split"].nunique().eq(3).all()


def counts(tasks: pd.DataFrame) -> dict[str, int]:
    return {str(kind): int(count) for kind, count in tasks["kind"].value_counts().items()}


def test_images_are_called_by_their_title_or_by_their_source() -> None:
    assert run(parameters("smoke"))["dataset_card"].name == "digits"
    assert run(parameters("smoke", title="Small digits"))["dataset_card"].name == "Small digits"


def test_digits_give_what_their_parameter_file_promises() -> None:
    outputs = run(parameters("digits"))
    check(outputs)
    assert len(outputs["images"]) == 1797
    assert len(outputs["dataset_card"].held_out_classes) == 3
    assert counts(outputs["tasks"]) == {"train": 60, "validation": 12, "new_combination": 24, "new_class": 4}


def test_smoke_gives_what_its_parameter_file_promises() -> None:
    outputs = run(parameters("smoke"))
    check(outputs)
    assert counts(outputs["tasks"]) == {"train": 8, "validation": 2, "new_combination": 3, "new_class": 1}


def test_omniglot_gives_what_its_parameter_file_promises(tmp_path: Path) -> None:
    alphabets = {"Balinese": 24, "Early_Aramaic": 22, "Greek": 24, "Korean": 40, "Latin": 26}
    Image.new("1", (105, 105), 1).save(tmp_path / "blank.png")
    blank = (tmp_path / "blank.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "small1.zip", "w") as archive:
        for alphabet, characters in alphabets.items():
            for character in range(1, characters + 1):
                for drawing in range(3):
                    archive.writestr(
                        f"images_background_small1/{alphabet}/character{character:02}/{drawing}.png", blank
                    )
    source = {"name": "omniglot", "path": str(tmp_path / "small1.zip"), "image_size": 28}
    outputs = run(parameters("omniglot", source=source))
    check(outputs)
    card = outputs["dataset_card"]
    assert outputs["images"].shape == (136 * 3, 28, 28, 1)
    assert {card.groups[class_id] for class_id in card.held_out_classes} == {"Greek"}
    assert counts(outputs["tasks"]) == {"train": 2000, "validation": 24, "new_combination": 84, "new_class": 41}


def test_a_folder_of_images_gives_what_its_parameter_file_promises(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in range(10):
        (tmp_path / f"class {name}").mkdir()
        for number in range(4):
            pixels = generator.integers(0, 256, (20, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"class {name}" / f"{number}.jpg")
    (tmp_path / "class 3" / "2.jpg").write_bytes(b"broken")
    source = {"name": "image_folder", "root": str(tmp_path), "image_size": 16}
    outputs = run(parameters("image_folder", source=source))
    check(outputs)
    assert outputs["images"].shape == (39, 16, 16, 3)
    assert outputs["dataset_card"].unreadable == ("class 3/2.jpg",)
    assert len(outputs["dataset_card"].mean) == 3


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, again, other = (digest(run(parameters("smoke", seed=seed))) for seed in (3, 3, 4))
    assert first == again != other


def test_nothing_is_written_when_there_are_not_enough_tasks() -> None:
    tasks = [{"strategy": "random", "classes_per_task": [2, 2], "counts": {"train": 50, "validation": 1}}]
    saved = DataCatalog({name: MemoryDataset() for name in ("images", "index", "tasks", "dataset_card")})
    saved["params:split_tasks"] = MemoryDataset(parameters("digits", tasks=tasks), copy_mode="assign")
    with pytest.raises(InputError, match="asks for 0 new_combination . 1 validation . 50 train tasks, but only 21"):
        SequentialRunner().run(create_pipeline(), saved)
    assert not any(saved[name].exists() for name in ("images", "index", "tasks", "dataset_card"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": {"validation": 0.5, "test": 0.5}}, "leaves no images to train on"),
        ({"split": {"validation": 0.0, "test": 0.5}}, "greater than 0"),
        ({"held_out_classes": {"count": 1, "names": ["3"]}}, "give count or names, not both"),
        ({"source": {"name": "digits", "folder": "x"}}, "Extra inputs are not permitted"),
        ({"tasks": [{"strategy": "random", "classes_per_task": [5, 2], "counts": {}}]}, "5 is above 2"),
        ({"tasks": []}, "at least 1 item"),
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parameters("digits", **changes)
