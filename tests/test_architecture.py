import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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


@pytest.mark.parametrize("command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_the_linters_are_content(command: list[str]) -> None:
    assert_content(*command)
