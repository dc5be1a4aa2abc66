import os
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "projpipe"
PYTHON_FILES = sorted(path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py"))


def assert_content(*command: str) -> None:
    """Run one of the environment's tools on the project, which must find nothing wrong.

    In a process of its own: import-linter, called from here, would switch off every logger there is.
    """
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": tools}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_floor_imports_only_floors_below_it() -> None:
    assert_content("lint-imports", "--no-cache", "--no-logo")


def test_no_circle_exists_among_files() -> None:
    """Whether for type checking alone or not: files in a circle can only be understood together."""
    graph = grimp.build_graph("projpipe", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the files


def modules_after(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_package_imports_nothing_that_is_slow() -> None:
    assert not modules_after("import projpipe") & {"torch", "timm", "numpy", "pandas", "kedro", "ray"}


def test_a_projector_is_loaded_without_what_trains_one() -> None:
    loaded = modules_after("from projpipe import load_projector")
    assert "torch" in loaded
    assert not loaded & {"kedro", "ray", "dvc", "pandas", "pandera", "optuna", "sklearn", "plotly", "pydantic"}


def test_listing_the_pipelines_does_not_import_what_only_running_them_needs() -> None:
    statement = (
        "from kedro.framework.startup import bootstrap_project; from kedro.framework.project import pipelines; "
        f"bootstrap_project(__import__('pathlib').Path({str(ROOT)!r})); assert len(pipelines) == 7"
    )
    assert not modules_after(statement) & {"timm", "torchvision", "ray", "optuna", "sklearn"}


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


def test_no_file_is_a_drawer_for_anything() -> None:
    assert not {path.stem for path in PYTHON_FILES} & {"utils", "helpers", "misc", "common", "manager"}


def test_no_two_files_share_a_name() -> None:
    """But those that mirror the pipelines by Kedro's convention."""
    found = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in {"pipelines", "config"} and path.name != "__init__.py":
            found[path.name].append(path)
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_dictionaries_of_anything_stay_at_the_edge() -> None:
    lines = [line for path in PACKAGE.rglob("*.py") for line in path.read_text().splitlines()]
    assert sum("dict[str, Any]" in line or "Mapping[str, Any]" in line for line in lines) <= 40


@pytest.mark.parametrize("command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_the_linters_are_content(command: list[str]) -> None:
    assert_content(*command)
