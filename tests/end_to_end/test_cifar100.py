"""The environment `cifar100` without its photographs: its tasks, and its first two pipelines on images made here."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.framework.session import KedroSession
from PIL import Image

from projpipe.config import SplitTasksConfig
from projpipe.readable_session import ReadableSession
from projpipe.tasks.classes import Classes, hold_out
from projpipe.tasks.draw import check_known, sample_tasks

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("fish", "household_furniture", "people", "trees")
IMAGES = {"train": 9, "test": 3}  # of each of 20 classes


def superclasses() -> dict[str, str]:
    with (CONF / "cifar100/superclasses.csv").open(newline="") as file:
        return {row["class"]: row["group"] for row in csv.DictReader(file)}


def test_a_hundred_classes_are_in_twenty_superclasses_of_five() -> None:
    sizes = Counter(superclasses().values())
    assert (len(superclasses()), len(sizes), set(sizes.values())) == (100, 20, {5})


def test_its_tasks_can_be_drawn_and_new_classes_are_of_two_kinds() -> None:
    base, own = (
        yaml.safe_load((CONF / env / "parameters.yml").read_text())["split_tasks"] for env in ("base", "cifar100")
    )
    config = SplitTasksConfig(**{**base, **own, "split": {**base["split"], **own["split"]}})
    labels = sorted((group, name) for name, group in superclasses().items())
    classes = Classes([name for _, name in labels], [group for group, _ in labels])
    judged = hold_out(classes, config.held_out_classes, config.seed)
    chosen_by = hold_out(classes, config.validation_classes, config.seed, "validation_classes", without=judged)
    tasks = sample_tasks(classes, judged, config.tasks, config.seed, chosen_by)
    check_known(tasks, classes)
    known = set(range(100)).difference(judged, chosen_by)
    known_groups = {classes.groups[class_id] for class_id in known}
    assert (len(known), len(known_groups)) == (68, 16)
    new_kinds = {"new_class": judged, "validation_new_class": chosen_by}
    assert {task.kind for task in tasks} >= new_kinds.keys()
    for task in tasks:
        assert set(task.classes) <= set(new_kinds.get(task.kind, known))
        if task.kind in new_kinds:
            of_known = {classes.groups[class_id] in known_groups for class_id in task.classes}
            assert of_known == {task.strategy == "random"}


@pytest.fixture(scope="module")
def project(make_project: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with twelve images of each class of four superclasses; one is in both parts."""
    project = make_project(tmp_path_factory.mktemp("cifar100"))
    rng = np.random.default_rng(0)
    some = {name: group for name, group in superclasses().items() if group in GROUPS}
    for name in some:
        colour = 255 * rng.random(3)
        for split, count in IMAGES.items():
            folder = project / "data/01_raw/cifar100" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(colour + rng.normal(0, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    folder = project / "data/01_raw/cifar100"
    (folder / "train/man/0.png").write_bytes((folder / "test/baby/0.png").read_bytes())
    with (project / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("class", "group"), *some.items()])
    return project


def smaller(**source: object) -> dict[str, Any]:
    draws = [
        {
            "strategy": "random",
            "classes_per_task": [2, 4],
            "counts": {"train": 30, "validation": 2, "new_combination": 2},
        },
        {"strategy": "group", "classes_per_task": [2, 5], "counts": {"new_class": 2}},
    ]
    return {
        "split_tasks": {
            "source": source,
            "held_out_classes": {"names": ["fish", "man"]},
            "validation_classes": {"names": ["woman"]},
            "tasks": draws,
        },
        "extract_teacher": {
            "arguments": {"patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2},
            "training": {"epochs": 1, "batch_size": 16},
            "augmentation": {"copies": 2},
        },
    }


def test_an_official_split_superclasses_flips_and_colours_go_through(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with KedroSession.create(project, env="cifar100", runtime_params=smaller(groups="groups.csv")) as session:
        session.run(pipeline_names=["split_tasks", "extract_teacher"])
    data = project / "data/cifar100"
    card = json.loads((data / "03_primary/dataset.json").read_text())
    assert card["images"] == {"train": 159, "validation": 20, "test": 60}  # one is left out of 180
    assert card["repeated"] == ["train/man/0.png"]
    assert set(card["groups"]) == set(GROUPS)
    assert [card["classes"][class_id] for class_id in card["held_out_classes"]][-2:] == ["man", "woman"]
    tasks = pd.read_parquet(data / "03_primary/tasks.parquet")
    assert tasks[tasks["kind"] == "new_class"]["name"].str.startswith("fish").all()
    described = json.loads((data / "06_models/teacher.json").read_text())
    assert described["training"]["augmentation"]["flip"] is True


def test_absent_photographs_are_one_line_with_the_command_that_gets_them(
    make_project: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path)
    monkeypatch.chdir(project)
    with (
        pytest.raises(click.ClickException, match=r"there is no folder .*cifar100; get the images with `git clone"),
        ReadableSession.create(project, env="cifar100") as session,
    ):
        session.run(pipeline_names=["split_tasks"])
