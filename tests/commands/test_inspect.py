"""`projpipe inspect` says what is in a folder."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
from click.testing import Result

from projpipe import load_projector
from projpipe.commands.output import show_sizes
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


def test_a_projector_of_many_sizes_lists_them_and_marks_the_recommended_one(many: Path, projpipe: Command) -> None:
    lines = projpipe("inspect", many).output.splitlines()
    at = lines.index("")
    shown = dict(line.split("  ", 1) for line in lines[:at])
    assert shown["smallest students"].strip().startswith("1 block x 8, 2 heads, 8 hidden units, 674 parameters for 2")
    assert shown["largest students"].strip().startswith("2 blocks x 12, 2 heads, 18 hidden units, 2,")
    assert shown["mean accuracy of smallest and largest on validation tasks"].strip() == "97.8 %"
    assert lines[at + 1 : at + 4] == [
        "Sizes (width x depth x heads x hidden units) of models for 3 classes.",
        "Latency of 1 image with 1 thread on a machine of old:",
        "",
    ]
    header, *rows = [re.split(r"  +", line) for line in lines[at + 4 :]]
    assert header == ["size", "accuracy in %", "parameters", "MACs", "bytes", "latency"]
    assert [row[:2] for row in rows] == [
        ["8x1x2x8", "70.0 [69.0, 71.0]"],
        ["12x1x2x12", "90.0 [89.0, 91.0]"],
        ["12x2x2x18", "80.0 [79.0, 81.0]"],
    ]
    assert [row[-1] for row in rows] == ["0.1 ms", "recommended", "0.3 ms"]
    assert max(map(len, lines[at:])) <= 100
    found = json.loads(projpipe("inspect", many, "--json").output)
    assert found["sizes"] == json.loads((many / "sizes.json").read_text())


def test_the_table_of_large_models_fits_a_terminal(capsys: pytest.CaptureFixture[str], many: Path) -> None:
    table = load_projector(many).size_table
    large = replace(
        table.sizes[0], embed_dim=1024, depth=24, num_heads=16, mlp_dim=4096, params=303_301_632, macs=61_554_713_600,
        file_bytes=1_213_206_528, latency_ms=1234.5,
    )  # fmt: skip
    show_sizes(replace(table, sizes=(large,), recommended=0))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 105


def test_a_projector_of_one_size_says_what_it_said(folder: Path, projpipe: Command) -> None:
    shown = projpipe("inspect", folder).output
    assert "" not in shown.splitlines()
    assert re.search(r"^students +2 blocks x 12, 2 heads, 18 hidden units, 2,\d+ parameters for 2 classes", shown, re.M)
    assert not json.loads(projpipe("inspect", folder, "--json").output).keys() & {"sizes", "smallest_students"}


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
