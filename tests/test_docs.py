"""What people read is true: commands run, links lead somewhere, the README is short, pictures are what scripts draw."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import projpipe
from projpipe.pipeline_registry import ORDER

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Pages that `compare_methods` wrote hold the command of the commit that made them.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?:\]\(|src(?:set)?=\")(?!https?:|#)([^)#\"\s]+)(?:#L(\d+))?")

INSTALLS = "installs or replaces the environment that the tests run in"
SUITE = "is these tests, or what they run besides"
WHOLE = "the fixture whole_run is this, in the environment smoke"
DATA_AND_TIME = "needs data that are not in the repository, and 20 minutes or more"
SERVER = "starts something that does not end by itself"
COMPARE = "kedro run --env omniglot --pipelines compare_methods --params compare_methods.comparison"
NOT_RUN = {
    "make run": f"{INSTALLS}; {WHOLE}",
    "make run-modeling": f"{INSTALLS}; the fixture modeling_run is this, in the environment smoke_modeling",
    "make install": INSTALLS,
    "make check": f"{SUITE}: test_architecture.py",
    "make test": SUITE,
    "make docs": f"{SUITE}: test_the_site_builds_without_a_warning",
    "source .venv/bin/activate": "the tests run in that environment already",
    "pre-commit install": "writes into the repository's git folder",
    "pytest tests/projection": SUITE,
    "pytest tests/end_to_end/test_whole_run.py": SUITE,
    "kedro run": WHOLE,
    "kedro viz run": f"{SERVER}; test_viz.py starts it and looks at it",
    "dvc repro": "trains for four minutes; test_dvc.py holds its stages to the pipelines",
    "dvc metrics show": "needs what dvc repro makes",
    "dvc repro comparison/dvc.yaml": "trains for half an hour; test_dvc.py holds its stages to the pipelines",
    "ray start --head": SERVER,
    "kedro run --env image_folder": "needs a person's images",
    "kedro run --env imagenet_vit": "needs ImageNet and 8 GPUs; test_imagenet_vit.py runs it in miniature",
    "python benchmarks/imagenet_cost.py": "takes minutes of counting on full-size models",
    "kedro run --env omniglot --pipelines split_tasks,extract_teacher": DATA_AND_TIME,
    "kedro run --env omniglot --pipelines compare_methods": DATA_AND_TIME,
    **dict.fromkeys((f"{COMPARE}={name}" for name in ("long", "large", "per_task", "ablation")), DATA_AND_TIME),
    "kedro run --env omniglot --params train_projector.ray.address=auto,train_projector.ray.num_workers=4": (
        "needs a cluster"
    ),
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Commands to type, each with what the page shows of its output; comments are left out."""
        if self.language == "bash":
            for line in self.text.splitlines():
                if command := re.sub(r"\s+# .*", "", line).strip():
                    yield command, ""
        if self.language == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                yield command, shown


def blocks() -> list[Block]:
    return [
        Block(page.relative_to(ROOT).as_posix(), *found) for page in PAGES for found in FENCE.findall(page.read_text())
    ]


BLOCKS = blocks()
COMMANDS = [command for block in BLOCKS for command, _ in block.commands()]
WITH_COMMANDS = sorted({block.page for block in BLOCKS if block.language in ("console", "python", "bash")})


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    assert max(map(len, lines)) <= 120


@pytest.fixture(scope="module")
def workplace(
    whole_run: tuple[Path, str], modeling_run: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project in which everything has run, whose data go by the names that the pages use."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("conf", "pyproject.toml", ".telemetry", "src"):
        source = whole_run[0] / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    for made, name in (
        (whole_run[0] / "data/smoke", "digits"),
        (modeling_run[0] / "data/smoke_modeling", "digits_modeling"),
    ):
        shutil.copytree(made, folder / "data" / name)
    (folder / "data/smoke").symlink_to(folder / "data/digits")
    return folder


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_what_a_page_tells_to_type_runs(page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    for name in ("model", "models", "threes"):
        shutil.rmtree(workplace / name, ignore_errors=True)
    (workplace / "threes.png").unlink(missing_ok=True)
    for block in (block for block in BLOCKS if block.page == page):
        for command, shown in block.commands():
            if command not in NOT_RUN:
                assert_runs(command, shown, workplace)
        if block.language == "python":
            ended = subprocess.run(
                [sys.executable, "-c", block.text], cwd=workplace, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, block.text + ended.stderr


def assert_runs(command: str, shown: str, folder: Path) -> None:
    """Run a command in the small environment. Where its page shows an error, it must end with that one."""
    small = re.sub(r"^kedro run", "kedro run --env smoke", command)
    ended = subprocess.run(["bash", "-c", small], cwd=folder, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    if not shown.startswith("Error: "):
        assert ended.returncode == 0, f"{small}\n{said}"
        return
    assert ended.returncode != 0, small
    for part in shown.removeprefix("Error: ").strip().split("…"):
        assert part.strip() in said


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
