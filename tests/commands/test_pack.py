"""`projpipe pack` makes a small folder of a projector, which is then found by name, and says what it measured."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import Result

from makers import elastic
from projpipe import load_projector, places
from projpipe.manifest import CARD
from projpipe.projection.projector import Projector
from projpipe.projection.projector_card import Judged, mean_over_groups

Command = Callable[..., Result]
RUN = {
    "command": "kedro run --env shop",
    "commit": "0a1b2c",
    "processor": "a processor",
    "dataset_sha256": "1",
    "train_tasks_sha256": "2",
    "teacher_sha256": "3",
    "threads": 2,
}


@pytest.fixture
def grouped(projector: Projector, tmp_path: Path) -> Path:
    """The folder of a projector of many sizes whose classes are of two groups, and that says what it was made from."""
    data = {**projector.data, "groups": ["shoes"] * 5 + ["clothes"] * 5}
    made_from = {name: value for name, value in RUN.items() if name.endswith("sha256")}
    many = elastic(projector)
    sizes = tuple(replace(size, energy_threshold=1.5, others_kept=0.25) for size in many.size_table.sizes)
    table = replace(many.size_table, sizes=sizes)
    said = replace(many, data=data, provenance={**projector.provenance, **made_from}, size_table=table)
    said.save(tmp_path / "grouped")
    return tmp_path / "grouped"


def test_a_packed_projector_is_smaller_and_makes_the_same_models(
    many: Path, tmp_path: Path, projpipe: Command, images: torch.Tensor
) -> None:
    result = projpipe("pack", many, "--out", tmp_path / "packed")
    assert result.exit_code == 0, result.output
    assert result.output == f"{tmp_path / 'packed'}: 0.1 MB, 0.3 MB before\n"
    whole, packed = load_projector(many), load_projector(tmp_path / "packed")
    assert replace(packed.size_table, weights_sha256="") == replace(whole.size_table, weights_sha256="")
    classes = ["Sneaker", "Coat", "Bag"]
    expected, found = (one.student(classes).logits(images) for one in (whole, packed))
    torch.testing.assert_close(found, expected, atol=0.01 * expected.std().item(), rtol=0)


def test_a_shipped_projector_is_used_by_its_name_in_every_command(
    many: Path, tmp_path: Path, projpipe: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "search_path", lambda: {"comes with projpipe": tmp_path / "shipped"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert projpipe("list").output.startswith("None: none comes with this copy")
    assert projpipe("list", "--json").output == "[]\n"
    assert projpipe("pack", many, "--out", tmp_path / "shipped" / "shop").exit_code == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "shipped" / "shop").iterdir()}
    assert projpipe("generate", "shop", "--classes", "Sneaker,Coat", "--out", tmp_path / "model").exit_code == 0
    assert load_projector("shop").classes[0] == json.loads(projpipe("inspect", "shop", "--json").output)["classes"][0]
    measured = projpipe("measure", "shop")
    assert "is not written to; copy it to keep what is measured" in measured.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "shipped" / "shop").iterdir()} == files
    header, row = projpipe("list").output.splitlines()
    assert header.split() == ["name", "kind", "data", "classes", "MB", "where"]
    assert row.split(maxsplit=5) == ["shop", "projector", "shop", "10", "0.1", "comes with projpipe"]


def test_the_card_says_what_was_measured_of_every_size_by_group(
    grouped: Path, pictures: Path, tmp_path: Path, projpipe: Command
) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    more = ["--images", pictures, "--run", tmp_path / "run.json", "--license", "mit"]
    result = projpipe("pack", grouped, "--out", tmp_path / "packed", *more)
    assert result.exit_code == 0, result.output
    assert "% before (6 images, mean over 1 group), teacher " in result.stdout
    card = (tmp_path / "packed" / CARD).read_text()
    packed = load_projector(tmp_path / "packed")
    classes = ["Coat", "Greek/alpha"]  # the pictures' classes of clothes; of shoes there is one class alone
    right = {}
    for size in packed.size_table.sizes:
        size = size.of(packed.operator.spec)
        packed.student(classes, size=size).save(tmp_path / "model")
        found = json.loads(projpipe("evaluate", tmp_path / "model", pictures, "--json").stdout)
        right[f"{size.embed_dim}x{size.depth}x{size.num_heads}x{size.mlp_dim}"] = found["accuracy"]
    for size, accuracy in right.items():
        row = next(line for line in card.splitlines() if line.startswith(f"| {size} "))
        assert f"| {100 * accuracy:.1f} [" in row
    assert "| clothes | " in card
    assert "No training task had Coat" in card
    assert "Of validation images of other classes, 25.0 % are above the energy threshold of models of 12x1x2x12" in card
    for fact in ("| trained by | kedro run --env shop |", "| commit | 0a1b2c |", "| licence | mit |"):
        assert fact in card
    said = yaml.safe_load(card.split("---\n")[1])
    scores = {one["dataset"]["split"]: one["metrics"][0] for one in said["model-index"][0]["results"]}
    assert scores["test"]["value"] == pytest.approx(right["12x1x2x12"])
    assert scores["validation"]["value"] == 0.9  # of the recommended size, not the 0.978 of two sizes together
    assert {score["name"].partition(", ")[2] for score in scores.values()} == {"models of 12x1x2x12"}
    assert (said["license"], said["datasets"], said["library_name"]) == ("mit", ["shop"], "projpipe")
    packed.student(classes).save(tmp_path / "model")
    assert "license: mit" in (tmp_path / "model" / CARD).read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset_sha256": "4"}, "dataset_sha256: is not the projector's; give the run.json of the run"),
        ({"commit": None}, "commit: null is not text"),
    ],
)
def test_another_run_is_refused(
    change: dict[str, Any], message: str, grouped: Path, tmp_path: Path, projpipe: Command
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RUN, **change}))
    result = projpipe("pack", grouped, "--out", tmp_path / "packed", "--run", tmp_path / "run.json")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert message in result.stderr
    assert not (tmp_path / "packed").exists()


def test_a_command_stands_on_the_card_instead_of_that_of_the_run(
    grouped: Path, tmp_path: Path, projpipe: Command
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "command": "kedro run --pipelines evaluate"}))
    given = ["--out", tmp_path / "packed", "--command", "dvc repro"]
    assert "give its run.json with --run too" in projpipe("pack", grouped, *given).stderr
    assert projpipe("pack", grouped, *given, "--run", tmp_path / "run.json").exit_code == 0
    card = (tmp_path / "packed" / CARD).read_text()
    assert "| trained by | dvc repro |" in card
    assert "--pipelines evaluate" not in card


@pytest.fixture
def shown(grouped: Path) -> Path:
    """The same folder, with an example and where that is from."""
    (grouped / "examples").mkdir()
    (grouped / "examples" / "Coat.png").write_bytes(b"a picture")
    (grouped / "examples" / CARD).write_text("Drawn by [us](https://example.org).\n\nFree \x1b[31mto all.\n")
    return grouped


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_packed_before_keeps_its_card_and_its_examples(
    shown: Path, pictures: Path, tmp_path: Path, projpipe: Command
) -> None:
    assert projpipe("pack", shown, "--out", tmp_path / "one", "--images", pictures).exit_code == 0
    card = (tmp_path / "one" / CARD).read_text()
    assert card.endswith("## Examples\n\nDrawn by [us](https://example.org).\n\nFree \\x1b[31mto all.\n")
    assert projpipe("pack", tmp_path / "one", "--out", tmp_path / "two").exit_code == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert {name for name in files_of(tmp_path / "two") if "/" in name} == {"examples/Coat.png", f"examples/{CARD}"}
    assert projpipe("pack", tmp_path / "two", "--out", tmp_path / "two", "--force").exit_code == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    anew = projpipe("pack", tmp_path / "two", "--out", tmp_path / "new", "--images", pictures, "--license", "mit")
    assert anew.exit_code == 0, anew.output
    assert "| licence | mit |" in (tmp_path / "new" / CARD).read_text()


def test_a_damaged_projector_is_refused_before_its_card_is_read(many: Path, tmp_path: Path, projpipe: Command) -> None:
    packed = tmp_path / "packed"
    assert projpipe("pack", many, "--out", packed).exit_code == 0
    (packed / "README.md").unlink()
    result = projpipe("pack", packed, "--out", tmp_path / "again")
    assert result.exit_code == 2
    assert "README.md" in result.stderr
    (packed / "manifest.json").write_text('{"kind": "projector"}')
    result = projpipe("pack", packed, "--out", tmp_path / "again")
    assert result.exit_code == 2
    assert "manifest.json" in result.stderr


def test_a_card_that_says_what_was_measured_is_not_written_anew_without_measuring(
    shown: Path, tmp_path: Path, projpipe: Command
) -> None:
    assert projpipe("pack", shown, "--out", tmp_path / "packed").exit_code == 0
    again = ["pack", tmp_path / "packed", "--out", tmp_path / "again"]
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    for given in (["--license", "mit"], ["--run", tmp_path / "run.json"]):
        result = projpipe(*again, *given)
        assert result.exit_code == 2
        assert f"{given[0]}: {tmp_path / 'packed'} has a card of its own, which stays; pack the folder" in result.stderr


def test_examples_that_are_not_those_of_the_projector_are_not_replaced(
    shown: Path, folder: Path, tmp_path: Path, projpipe: Command
) -> None:
    assert projpipe("pack", shown, "--out", tmp_path / "packed").exit_code == 0
    assert projpipe("pack", folder, "--out", tmp_path / "bare").exit_code == 0
    for own in (tmp_path / "packed" / "examples" / "Bag.png", tmp_path / "bare" / "examples"):
        own.write_bytes(b"mine")
        for projector in (shown, folder):
            out = tmp_path / own.relative_to(tmp_path).parts[0]
            result = projpipe("pack", projector, "--out", out, "--force")
            assert "holds more than what `projpipe pack` wrote" in result.stderr
        assert own.read_bytes() == b"mine"


def test_only_what_pack_wrote_is_replaced(folder: Path, model: Path, tmp_path: Path, projpipe: Command) -> None:
    assert projpipe("pack", folder, "--out", tmp_path / "packed").exit_code == 0
    assert "exists; choose another folder" in projpipe("pack", folder, "--out", tmp_path / "packed").stderr
    assert projpipe("pack", folder, "--out", tmp_path / "packed", "--force").exit_code == 0
    assert projpipe("pack", tmp_path / "packed", "--out", tmp_path / "packed", "--force").exit_code == 0
    (tmp_path / "packed" / "notes.txt").write_text("mine")
    for foreign in (tmp_path / "packed", model):
        result = projpipe("pack", folder, "--out", foreign, "--force")
        assert "holds more than what `projpipe pack` wrote, so that --force does not replace it" in result.stderr


def test_pictures_of_too_few_classes_are_refused(
    grouped: Path, pictures: Path, tmp_path: Path, projpipe: Command
) -> None:
    (pictures / "Coat").rename(pictures / "Hat")
    result = projpipe("pack", grouped, "--out", tmp_path / "packed", "--images", pictures)
    assert "has pictures of 2 classes, of no group two; give more" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "packed").exists()


def test_intervals_hold_what_they_are_of_and_shrink_with_images() -> None:
    few, many = (Judged("g", ["a", "b"], images, {"m": images * 9 // 10}) for images in (10, 1000))
    assert few.interval("m") == pytest.approx((0.5958, 0.9821), abs=1e-4)  # Wilson's, as statsmodels has it
    assert many.interval("m")[0] < 0.9 < many.interval("m")[1] < few.interval("m")[1]
    sure = Judged("g", ["a", "b"], 10, {"m": 10})
    assert sure.interval("m") == pytest.approx((0.7225, 1.0), abs=1e-4)
    mean, (low, high) = mean_over_groups([many, sure], "m")
    assert mean == pytest.approx(0.95)
    assert (high - low) / 2 == pytest.approx(1.96 * (0.9 * 0.1 / 1000) ** 0.5 / 2, rel=1e-3)
