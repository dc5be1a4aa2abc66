"""`projpipe inspect` says what is in a folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import timm
from click.testing import Result

from projpipe.evaluation.cost import deployed_cost
from projpipe.objectives import Classification

Command = Callable[..., Result]


def test_a_projector_says_what_it_can_do(folder: Path, projpipe: Command) -> None:
    found = json.loads(projpipe("inspect", folder, "--json").output)
    assert found["kind"] == "projector"
    assert found["classes"][2] == "Bags, small"
    assert found["groups"] == ["Greek"]
    assert found["held_out_classes"] == ["Coat"]
    assert found["accuracy_on_validation_tasks"] == 0.978
    shown = dict(line.split("  ", 1) for line in projpipe("inspect", folder).output.splitlines())
    assert shown["seed"].strip() == "0"
    assert shown["arguments of the teacher"].strip() == '{"depth": 4}'
    assert shown["accuracy on validation tasks"].strip() == "97.8 %"
    assert shown["accuracy of the tuned teacher"].strip() == "before 96.0 %, after 95.7 %"
    assert '"Bags, small"' in shown["classes"]


def test_a_model_says_how_large_it_is(model: Path, projpipe: Command, objective: Classification) -> None:
    found = json.loads(projpipe("inspect", model, "--json").output)
    cost = deployed_cost(timm.create_model(f"local-dir:{model}").eval(), objective)
    assert found["kind"] == "model"
    assert found["classes"] == ["Sneaker", "Bag", "Greek/alpha"]
    assert (found["parameters"], found["multiply_accumulates_an_image"]) == (cost.params, cost.macs)
    lines = projpipe("inspect", model).output.splitlines()
    assert any(line.split() == ["licence", "of", "the", "teacher", "apache-2.0"] for line in lines)


def test_another_folder_is_refused(tmp_path: Path, projpipe: Command) -> None:
    result = projpipe("inspect", tmp_path)
    assert result.exit_code == 2
    assert "is no model" in result.stderr


def test_a_projector_whose_manifest_is_cut_off_is_still_told_from_a_model(
    folder: Path, tmp_path: Path, projpipe: Command
) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    manifest = damaged / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-10])
    result = projpipe("inspect", damaged)
    assert result.exit_code == 2
    assert "is no projector" in result.stderr
