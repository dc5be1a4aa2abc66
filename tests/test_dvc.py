"""dvc.yaml says the same as the Kedro pipelines: what each stage runs, reads and writes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset

from projpipe.datasets import FolderDataset
from projpipe.pipeline_registry import ORDER

ROOT = Path(__file__).parents[1]
# What reads and writes every stage's files, besides the modules that its nodes import.
SHELL = {"projpipe.datasets", "projpipe.images.stored", "projpipe.schemas", "projpipe.atomic"}
each_stage = pytest.mark.parametrize("name", ORDER)


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[str, PipelineStage]]:
    with Repo(str(ROOT)) as repo:
        yield {stage.name: stage for stage in repo.index.stages}


@pytest.fixture(scope="module")
def catalog() -> DataCatalog:
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env="base") as session:
        return session.load_context().catalog


def dependencies(stage: PipelineStage) -> set[str]:
    return {dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)}


def files(names: set[str], catalog: DataCatalog) -> set[str]:
    """Paths of those data sets that are kept on disk between stages."""
    datasets = [catalog[name] for name in names if not name.startswith("param")]
    kept = [dataset for dataset in datasets if not isinstance(dataset, MemoryDataset | FolderDataset)]
    return {dataset.filepath.relative_to(ROOT).as_posix() for dataset in kept}


def test_there_is_a_stage_for_each_pipeline(stages: dict[str, PipelineStage]) -> None:
    assert tuple(stages) == ORDER


@each_stage
def test_a_stage_runs_its_pipeline_without_local_overrides(name: str, stages: dict[str, PipelineStage]) -> None:
    assert stages[name].cmd == f"kedro run --env base --pipelines {name}"


@each_stage
def test_a_stage_reads_the_files_that_its_pipeline_reads(
    name: str, stages: dict[str, PipelineStage], catalog: DataCatalog
) -> None:
    read = {path for path in dependencies(stages[name]) if path.startswith("data/")}
    assert read == files(pipelines[name].inputs(), catalog)


@each_stage
def test_a_stage_writes_the_files_that_its_pipeline_writes(
    name: str, stages: dict[str, PipelineStage], catalog: DataCatalog
) -> None:
    assert {out.def_path for out in stages[name].outs} == files(pipelines[name].all_outputs(), catalog)


@each_stage
def test_a_stage_depends_on_the_parameters_that_its_pipeline_reads(name: str, stages: dict[str, PipelineStage]) -> None:
    stated = {
        (dep.def_path, key) for dep in stages[name].deps if isinstance(dep, ParamsDependency) for key in dep.params
    }
    read = {key.removeprefix("params:") for key in pipelines[name].inputs() if key.startswith("param")}
    assert stated == {(f"conf/base/parameters_{key}.yml", key) for key in read}


@each_stage
def test_a_stage_depends_on_the_code_that_its_pipeline_imports_and_on_no_other(
    name: str, stages: dict[str, PipelineStage]
) -> None:
    graph = grimp.build_graph("projpipe", exclude_type_checking_imports=True)
    own = {f"projpipe.pipelines.{name}"} | graph.find_descendants(f"projpipe.pipelines.{name}")
    imported = own.union(SHELL, *(graph.find_upstream_modules(module) for module in own)) - {"projpipe"}
    sources = {_source(module) for module in imported}
    stated = {Path(path) for path in dependencies(stages[name]) if path.startswith("src/")}

    assert not {path for path in sources if not any(path.is_relative_to(dep) for dep in stated)}, "not stated"
    assert not {dep for dep in stated if not any(path.is_relative_to(dep) for path in sources)}, "not imported"


def _source(module: str) -> Path:
    path = Path("src", *module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


@each_stage
def test_a_stage_depends_on_the_catalog_and_on_where_data_is_kept(name: str, stages: dict[str, PipelineStage]) -> None:
    configuration = {path for path in dependencies(stages[name]) if path.startswith("conf/")}
    assert configuration == {"conf/base/catalog.yml", "conf/base/globals.yml"}


def test_figures_of_time_stay_out_of_the_cache(stages: dict[str, PipelineStage]) -> None:
    kept_out = {Path(out.def_path).name for stage in stages.values() for out in stage.outs if not out.use_cache}
    assert kept_out == {"metrics.json", "timings.json", "report.html", "comparison.md"}


def test_metrics_and_a_plot_are_declared(stages: dict[str, PipelineStage]) -> None:
    outs = {Path(out.def_path).name: out for out in stages["evaluate"].outs}
    assert [name for name, out in outs.items() if out.metric] == ["metrics.json"]
    assert [name for name, out in outs.items() if out.plot] == ["learning_curves_table.json"]


def test_what_is_up_to_date_is_not_made_again(tmp_path: Path) -> None:
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    for name in ("pyproject.toml", ".telemetry", ".dvcignore", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "conf/local").mkdir()

    def dvc(*arguments: str) -> str:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PATH": tools}, capture_output=True, text=True, check=True
        ).stdout

    dvc("init", "--no-scm")
    dvc("config", "core.analytics", "false")
    assert "Running stage 'split_tasks'" in dvc("repro", "split_tasks")
    assert (tmp_path / "data/03_primary/tasks.parquet").exists()

    cache = tmp_path / "src/projpipe/tasks/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "task.cpython-311.pyc").write_bytes(b"compiled")
    assert "Stage 'split_tasks' didn't change, skipping" in dvc("repro", "split_tasks")

    parameters = tmp_path / "conf/base/parameters_split_tasks.yml"
    parameters.write_text(parameters.read_text().replace("seed: 0", "seed: 1"))
    assert "modified:           split_tasks" in dvc("status", "split_tasks")
