"""What people read is true: commands run, links lead somewhere, the README is short, pictures are what scripts draw."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import projpipe
from pages import COMMANDS, DOCS, NOT_RUN, PAGES, ROOT
from projpipe.pipeline_registry import ORDER

LINK = re.compile(r"(?:\]\(|src(?:set)?=\")(?!https?:|#)([^)#\"\s]+)(?:#L(\d+))?")


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    assert max(map(len, lines)) <= 120


def test_what_is_not_run_stands_in_a_page_and_has_a_reason() -> None:
    assert set(NOT_RUN) <= set(COMMANDS)
    assert all(NOT_RUN.values())


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("kedro run")}))
def test_a_kedro_command_names_what_exists(command: str) -> None:
    env = re.search(r"--env (\S+)", command)
    assert env is None or (ROOT / "conf" / env[1]).is_dir()
    pipelines = re.search(r"--pipelines (\S+)", command)
    assert pipelines is None or set(pipelines[1].split(",")) <= set(ORDER)
    comparison = re.search(r"compare_methods\.comparison=(\S+)", command)
    if env and comparison:
        given = yaml.safe_load((ROOT / "conf" / env[1] / "parameters.yml").read_text())
        assert comparison[1] in given["compare_methods"]["comparisons"]


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make")}))
def test_a_make_command_names_a_target(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_exists(page: Path) -> None:
    targets = [match[1] for match in LINK.finditer(page.read_text())]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_each_formula_links_to_the_line_that_computes_it() -> None:
    rows = re.findall(r"\[`([^`]+)`\]\(\.\./(src/\S+?)#L(\d+)\)", (DOCS / "design.md").read_text())
    assert len(rows) >= 7
    for code, path, line in rows:
        assert code in (ROOT / path).read_text().splitlines()[int(line) - 1], f"{path}:{line}"


def test_files_of_the_package_that_a_page_names_are_there() -> None:
    named = {name for page in PAGES for name in re.findall(r"`(?:src/projpipe/)?(\w+/[\w/]+\.py)", page.read_text())}
    assert len(named) > 15
    assert {
        name for name in named if not (ROOT / "src/projpipe" / name).exists() and not (ROOT / name).exists()
    } == set()


def test_the_floors_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    section = (DOCS / "design.md").read_text().partition("## Floors")[2].partition("```text\n")[2].partition("```")[0]
    shown = re.findall(r"^(\w[\w, /<>]*?)(?:  |$)", section, re.MULTILINE)
    assert [set(line.replace("/<name>", "").split(", ")) for line in shown] == [
        set(re.split(r"\s*[|:]\s*", layer)) for layer in layers
    ]


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code() -> None:
    """`…` stands for what differs; every other part of a message stands in one string of the code."""
    strings = [
        node.value
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    messages = re.findall(r"^\| `(.+?)` \|", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(messages) > 40
    parts = {part.strip() for message in messages for part in message.split("…")}
    assert {part for part in parts if not any(part in string for string in strings)} == set()


def test_the_picture_is_what_its_script_draws(tmp_path: Path) -> None:
    script = shutil.copy(DOCS / "images/idea.py", tmp_path)
    subprocess.run([sys.executable, script], check=True)
    for name in ("idea-light.svg", "idea-dark.svg"):
        assert (tmp_path / name).read_text() == (DOCS / "images" / name).read_text()


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    used = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?:[^\"]+\"", used)  # no network


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == projpipe.__version__
    assert citation["references"][0]["url"] == "https://arxiv.org/abs/2506.05641"


def test_the_ci_runs_what_a_person_runs() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    assert job["steps"][-1] == {"run": ".ci/run"}
