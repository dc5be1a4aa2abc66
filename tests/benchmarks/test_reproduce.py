import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/results/omniglot.json"
TABLE = "24 x 2, 1,000 steps"


def compare(page: Path, other: Path) -> tuple[int, str]:
    command = [sys.executable, "benchmarks/reproduce.py", "compare", str(page), str(other)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


@pytest.fixture
def here() -> dict[str, Any]:
    return json.loads(PAGE.read_text())


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/results/*.json")), ids=lambda page: page.stem)
def test_a_page_is_the_same_as_itself(page: Path) -> None:
    code, said = compare(page, page)
    assert code == 0
    figures, _, counted = said.splitlines()[-1].partition(" figures: ")
    assert counted == f"{figures} same"


def test_what_differs_is_told_figure_by_figure(here: dict[str, Any], tmp_path: Path) -> None:
    table = here["tables"][TABLE]
    table["results"]["projected"]["new_combination"]["mean"] += 0.001
    table["results"]["static"]["new_combination"]["mean"] += 0.1
    table["student"]["params"] += 1
    del table["results"]["universal"]["new_class"]
    here["tables"]["another"] = {"steps": 5}
    (tmp_path / "here.json").write_text(json.dumps(here))
    code, said = compare(PAGE, tmp_path / "here.json")
    assert code == 1
    verdicts = {line.split("  ")[0]: line.rpartition("  ")[2] for line in said.splitlines() if " / " in line}
    assert verdicts == {
        f"tables / {TABLE} / results / projected / new_combination": "differs, inside the page's interval",
        f"tables / {TABLE} / results / static / new_combination": "OUTSIDE the page's interval",
        f"tables / {TABLE} / student / params": "differs",
        f"tables / {TABLE} / results / universal / new_class": "MISSING here",
        "tables / another / steps": "not on the page",
    }


def test_other_images_versions_and_commits_are_told(here: dict[str, Any], tmp_path: Path) -> None:
    made = here["provenance"]
    made["versions"]["torch"] = "1.0"
    (tmp_path / "older.json").write_text(json.dumps(here))
    made["dataset_sha256"] = "0" * 64
    (tmp_path / "here.json").write_text(json.dumps(here))
    _, said = compare(tmp_path / "older.json", tmp_path / "here.json")
    assert "made from other images" in said
    assert "The page was made with torch 1.0, this is" in said
    assert f"The page was made at commit {made['commit']}" in said


def test_other_images_are_refused_before_data_are_replaced(project: Path) -> None:
    (project / "docs/results").mkdir(parents=True)
    for name in ("benchmarks/reproduce.py", "docs/results/README.md"):
        (project / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    page = project / "page.json"
    page.write_text(json.dumps({"provenance": {"dataset_sha256": "0" * 64}}))
    with KedroSession.create(project, env="smoke", runtime_params={"split_tasks": {"seed": 5}}) as session:
        session.run(pipeline_names=["split_tasks"])
    data = project / "data/smoke"
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    command = [sys.executable, "benchmarks/reproduce.py", str(page), "--env", "smoke"]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "smoke: these are other images, or another split of them, than the page's" in ended.stderr
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_every_page_with_figures_has_an_environment_and_a_comparison() -> None:
    command = [sys.executable, "benchmarks/reproduce.py", "nothing"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    named = set(said.rpartition("there are ")[2].strip().split(", "))
    assert named == {path.stem for path in ROOT.glob("docs/results/*.json")}
