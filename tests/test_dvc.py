"""The file dvc.yaml says the same as the Kedro pipelines: what each stage runs, reads and writes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grimp
import pytest
import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset

from projpipe.datasets import FolderDataset, ProjectorDataset
from projpipe.hooks import LAST
from projpipe.manifest import MANIFEST
from projpipe.pipeline_registry import WHOLE
from projpipe.projection.write import TENSORS
from projpipe.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[1]
DIGITS = CONFIG_LOADER_ARGS["default_run_env"]
PARAMETERS = ("conf/base/parameters.yml", f"conf/{DIGITS}/parameters.yml")
# What reads and writes every stage's files, besides the modules that its nodes import.
SHELL = {"projpipe.datasets", "projpipe.images.stored", "projpipe.schemas", "projpipe.atomic"}
OF_A_RUN = {"report", "run_manifest", "timings"}
each_stage = pytest.mark.parametrize("name", WHOLE)


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[str, PipelineStage]]:
    with Repo(str(ROOT)) as repo:
        yield {stage.name: stage for stage in repo.index.stages}


@pytest.fixture(scope="module")
def catalog() -> DataCatalog:
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT) as session:
        return session.load_context().catalog


def dependencies(stage: PipelineStage) -> set[str]:
    return {dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)}


def files(names: set[str], catalog: DataCatalog) -> set[str]:
    """Paths of those data sets that are kept on disk between stages."""
    datasets = [catalog[name] for name in names if not name.startswith("param")]
    kept = [dataset for dataset in datasets if not isinstance(dataset, MemoryDataset | FolderDataset)]
    paths = {dataset.filepath.relative_to(ROOT).as_posix(): dataset for dataset in kept}
    # The projector's folder holds the size table too, which another stage writes.
    whole = {path for path, dataset in paths.items() if not isinstance(dataset, ProjectorDataset)}
    parts = {f"{path}/{name}" for path in paths.keys() - whole for name in (MANIFEST, TENSORS)}
    return whole | parts


def test_there_is_a_stage_for_each_pipeline_of_a_plain_run_and_no_other_that_a_pull_would_miss(
    stages: dict[str, PipelineStage],
) -> None:
    assert set(stages) == set(WHOLE)


@each_stage
def test_a_stage_runs_its_pipeline_in_the_default_environment(name: str, stages: dict[str, PipelineStage]) -> None:
    assert stages[name].cmd == f"kedro run --env {DIGITS} --pipelines {name}"


@each_stage
def test_a_stage_reads_the_files_that_its_pipeline_reads(
    name: str, stages: dict[str, PipelineStage], catalog: DataCatalog
) -> None:
    read = {path for path in dependencies(stages[name]) if path.startswith("data/")}
    assert read == files(pipelines[name].inputs(), catalog)


@each_stage
def test_a_stage_writes_the_files_that_its_pipeline_writes_but_those_that_no_two_runs_share(
    name: str, stages: dict[str, PipelineStage], catalog: DataCatalog
) -> None:
    written = files(pipelines[name].all_outputs() - OF_A_RUN, catalog)
    if name not in LAST:
        written.add(f"data/{DIGITS}/checksums/{name}")
    assert {out.def_path for out in stages[name].outs} == written


@each_stage
def test_a_stage_depends_on_the_parameters_that_its_pipeline_reads(name: str, stages: dict[str, PipelineStage]) -> None:
    stated = {
        (dep.def_path, key) for dep in stages[name].deps if isinstance(dep, ParamsDependency) for key in dep.params
    }
    read = {key.removeprefix("params:") for key in pipelines[name].inputs() if key.startswith("param")}
    files = {file: yaml.safe_load((ROOT / file).read_text()) for file in PARAMETERS}
    assert stated == {(file, key) for file, given in files.items() for key in read & given.keys()}


@each_stage
def test_a_stage_depends_on_the_rooms_of_code_that_its_pipeline_imports_and_on_no_others(
    name: str, stages: dict[str, PipelineStage]
) -> None:
    graph = grimp.build_graph("projpipe", exclude_type_checking_imports=True)
    own = {f"projpipe.pipelines.{name}"} | graph.find_descendants(f"projpipe.pipelines.{name}")
    imported = own.union(SHELL, *(graph.find_upstream_modules(module) for module in own)) - {"projpipe"}
    rooms = {_room(module) for module in imported}
    stated = {path for path in dependencies(stages[name]) if path.startswith("src/")}
    assert sorted(rooms - stated) == [], "imported, and not stated"
    assert sorted(stated - rooms) == [], "stated, and not imported"


def _room(module: str) -> str:
    """What a stage states for a module: its room, or the file of one that lies on the ground floor."""
    levels = module.split(".")
    path = Path("src", *levels[: 3 if levels[1] == "pipelines" else 2])
    return (path if (ROOT / path).is_dir() else path.with_suffix(".py")).as_posix()


@each_stage
def test_a_stage_depends_on_the_catalog(name: str, stages: dict[str, PipelineStage]) -> None:
    assert {path for path in dependencies(stages[name]) if path.startswith("conf/")} == {"conf/base/catalog.yml"}


def test_a_run_leaves_the_status_of_git_clean_as_the_cache_keeps_all_that_it_writes(
    stages: dict[str, PipelineStage], catalog: DataCatalog, tmp_path: Path
) -> None:
    outs = [out for stage in stages.values() for out in stage.outs]
    assert all(out.use_cache for out in outs)
    written = {out.def_path for out in outs} | {
        catalog[name].filepath.relative_to(ROOT).as_posix() for name in OF_A_RUN | {"run_store"}
    }
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    ignored = ["git", "check-ignore", *written, f"data/{DIGITS}/.lock"]
    listed = subprocess.run(ignored, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert len(listed) == len(written) + 1
    tracked = subprocess.run(["git", "ls-files", "data"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert tracked.split() in ([], ["data/README.md"])  # none where the project is no repository


def test_metrics_and_a_plot_are_declared(stages: dict[str, PipelineStage]) -> None:
    outs = {Path(out.def_path).name: out for out in stages["evaluate"].outs}
    assert [name for name, out in outs.items() if out.metric] == ["headline.json"]
    assert [name for name, out in outs.items() if out.plot] == ["learning_curves_table.json"]


@pytest.fixture
def dvc(tmp_path: Path) -> Callable[..., str]:
    """Runs DVC on a copy of the project, which lies in `tmp_path`."""
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".telemetry", ".dvcignore", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)

    def run(*arguments: str) -> str:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PATH": tools}, capture_output=True, text=True, check=True
        ).stdout

    run("init", "--no-scm")
    run("config", "core.analytics", "false")
    return run


def test_what_is_up_to_date_is_not_made_again(dvc: Callable[..., str], tmp_path: Path) -> None:
    assert "Running stage 'split_tasks'" in dvc("repro", "split_tasks")
    assert (tmp_path / "data/digits/03_primary/tasks.parquet").exists()

    cache = tmp_path / "src/projpipe/tasks/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "task.cpython-311.pyc").write_bytes(b"compiled")
    assert "Stage 'split_tasks' didn't change, skipping" in dvc("repro", "split_tasks")

    for file, changed in (("base", "seed: 0"), ("digits", "count: 3")):
        parameters = tmp_path / f"conf/{file}/parameters.yml"
        text = parameters.read_text()
        parameters.write_text(text.replace(changed, f"{changed}1", 1))
        assert "modified:           split_tasks" in dvc("status", "split_tasks")
        parameters.write_text(text)
