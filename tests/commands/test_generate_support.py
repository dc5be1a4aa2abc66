"""`projpipe generate` for pictures instead of names, and as scripts read it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

from projpipe.projection.projector import Projector
from projpipe.students.stopwatch import fixed_threads
from projpipe.students.student import Student

Command = Callable[..., Result]


def test_json_says_what_was_made(folder: Path, projpipe: Command) -> None:
    table, out = folder.parent / "tasks.csv", folder.parent / "one"
    made = json.loads(projpipe("generate", folder, "--classes", "Sneaker,Bag", "--out", out, "--json").stdout)
    described = json.loads(projpipe("inspect", out, "--json").stdout)
    assert made.pop("milliseconds") > 0
    assert made == {
        "out": str(out), "classes": ["Sneaker", "Bag"], "size": "12x2x2x18", "parameters": described["parameters"]
    }  # fmt: skip
    table.write_text('name,classes\na/b,"Sneaker,Bag"\n')
    asked = ["generate", folder, "--tasks", table, "--out", folder.parent / "many", "--json"]
    assert json.loads(projpipe(*asked).stdout)["models"] == [
        {"folder": "a_b", "name": "a/b", "classes": ["Sneaker", "Bag"]}
    ]


def test_a_folder_of_pictures_stands_for_the_classes_that_are_seen_in_them(
    folder: Path, pictures: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Projector, "recognise", lambda projector, images: sorted({"Bag", images[0].parent.name}))
    result = projpipe("generate", folder, "--support", pictures, "--out", folder.parent / "one", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["classes"] == ["Bag", "Coat"]


def test_pictures_that_show_too_little_are_refused_by_the_name_of_the_option(
    folder: Path, pictures: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Projector, "source_logits", lambda projector, images: torch.eye(10)[:1].expand(len(images), 10))
    refused = projpipe("generate", folder, "--support", pictures, "--out", folder.parent / "one")
    assert refused.stderr == "Error: --support: show ['Sneaker']; give images of two or more classes\n"


def test_a_folder_without_pictures_stands_for_nothing(folder: Path, projpipe: Command) -> None:
    (folder.parent / "empty").mkdir()
    refused = projpipe("generate", folder, "--support", folder.parent / "empty", "--out", folder.parent / "one")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: --support: ")
    assert "empty': holds no image that Pillow reads; give an image, a folder of them or a pattern" in refused.stderr


def test_models_are_made_by_one_thread_whatever_the_machine_has(
    folder: Path, tmp_path: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, threads = Projector.student, []

    def student(*arguments: Any, **more: Any) -> Student:
        threads.append(torch.get_num_threads())
        return made(*arguments, **more)

    monkeypatch.setattr(Projector, "student", student)
    with fixed_threads(2):
        assert projpipe("generate", folder, "--classes", "Bag,Coat", "--out", tmp_path / "model").exit_code == 0
        assert (threads, torch.get_num_threads()) == ([1], 2)


def test_the_help_says_that_one_of_the_ways_to_name_classes_is_needed(projpipe: Command) -> None:
    shown = " ".join(projpipe("generate", "--help").output.split())
    ways = "(--classes NAMES | --classes-file FILE | --group NAME | --support FOLDER | --tasks FILE)"
    assert f"generate {ways} --out FOLDER [OPTIONS] PROJECTOR" in shown
    assert "one of --classes, --classes-file, --group and --support, or those of many models by --tasks" in shown
