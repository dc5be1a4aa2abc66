"""What makes models works in an environment that holds the base dependencies and nothing else."""

import json
import re
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

import projpipe
from makers import elastic
from projpipe import load_projector

ABSENT = [
    "click_default_group",
    "dvc",
    "kedro",
    "onnxruntime",
    "optuna",
    "pandas",
    "pydantic",
    "ray",
    "rich",
    "sklearn",
]


def base_distributions() -> list[Distribution]:
    """projpipe and all that it depends on without extras, as installed here."""
    from packaging.requirements import Requirement

    found: dict[str, Distribution] = {}
    wanted = [Requirement("projpipe")]
    while wanted:
        requirement = wanted.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name not in found:
            found[name] = distribution(name)
            needs = [Requirement(line) for line in found[name].requires or ()]
            wanted += [one for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
    return list(found.values())


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment whose packages are links to those installed here."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    for one in base_distributions():
        for top in {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__")}:
            installed = Path(str(one.locate_file(top)))
            if not (packages / top).exists() and not top.endswith((".pth", ".py")) and installed.exists():
                (packages / top).symlink_to(installed)
            elif top.endswith(".py"):
                (packages / top).write_bytes(installed.read_bytes())
    (packages / "projpipe").symlink_to(Path(projpipe.__file__).parent)
    return folder / "bin" / "python"


def run(python: Path, program: str, *arguments: object) -> str:
    ran = subprocess.run(
        [python, "-I", "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_all_commands_work_without_what_trains(python: Path, folder: Path, pictures: Path) -> None:
    command = "from projpipe.commands.main import main; main()"
    model = folder.parent / "one"
    assert "--version" in run(python, command, "--help")
    run(python, command, "generate", folder, "--classes", "Sneaker,Coat", "--out", model)
    found = json.loads(run(python, command, "predict", model, pictures, "--json"))
    assert len(found) == 9
    assert json.loads(run(python, command, "evaluate", model, pictures, "--json"))["images"] == 6
    better = ["--out", folder.parent / "better", "--projector", folder, "--steps", "2", "--json"]
    assert json.loads(run(python, command, "finetune", model, pictures, *better))["distilled"]
    both = json.loads(run(python, command, "compare", model, folder.parent / "better", pictures, "--json"))
    assert len(both["models"]) == 2
    assert "Sneaker, Coat" in run(python, command, "inspect", model)
    many = folder.parent / "many"
    elastic(load_projector(folder)).save(many)
    run(
        python, command, "generate", many, "--classes", "Sneaker,Coat", "--max-latency", "9s", "--out", model, "--force"
    )
    assert len(json.loads(run(python, command, "measure", many, "--json"))["sizes"]) == 3
    run(python, command, "pack", many, "--out", folder.parent / "packed", "--images", pictures)
    assert "## Accuracy" in (folder.parent / "packed" / "README.md").read_text()
    assert isinstance(json.loads(run(python, command, "list", "--json")), list)
    by_timm = "import sys, timm; print(timm.create_model(sys.argv[1], pretrained=True).num_classes)"
    assert run(python, by_timm, f"local-dir:{model}") == "2\n"


@pytest.mark.parametrize("option", [["--onnx"], ["--quantize", "int8"]])
def test_what_is_missing_for_onnx_is_named(option: list[str], python: Path, folder: Path) -> None:
    arguments = ["generate", folder, "--classes", "Sneaker,Coat", "--out", folder.parent / "one", *option]
    program = "from projpipe.commands.main import main; main()"
    ran = subprocess.run(
        [python, "-I", "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "is not installed; `pip install 'projpipe[onnx]'`" in ran.stderr
    assert not (folder.parent / "one").exists()


@pytest.mark.parametrize("package", ABSENT)
def test_the_environment_lacks_what_trains(package: str, python: Path) -> None:
    found = run(python, "import importlib.util, sys; print(importlib.util.find_spec(sys.argv[1]))", package)
    assert found == "None\n"
