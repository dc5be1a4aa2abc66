"""The whole of it as a user types it: `kedro run --env smoke`, what it leaves, and what can be done with it."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog, MemoryDataset
from safetensors.torch import load_file, save_file

from pages import IMAGE_MODELLING, WITH_COMMANDS, type_all
from projpipe import load_projector
from projpipe.datasets import FolderDataset
from projpipe.errors import InputError
from projpipe.hooks import NOT_LISTED
from projpipe.lock import LOCK
from projpipe.methods.controls import CONTROLS
from projpipe.methods.registry import main_methods
from projpipe.pipeline_registry import WHOLE

ROOT = Path(__file__).parents[2]
# What no two runs share, see dvc.yaml: figures of time.
OF_THE_CLOCK = {"timings.json", "report.html"}
# What `sweep_students` writes holds measured latency, which decides what is on the front and what is tried next.
OF_SIZES = {"sizes.json", "sweep_trials.parquet", "pareto_front.parquet", "pareto_front.json"}
LISTED_OF_SIZES = {f"{name}.sha256" for name in ("sweep_trials", "pareto_front", "pareto_figure")}


def kedro(project: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env", "smoke", *arguments],
        cwd=project,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def files(project: Path) -> dict[str, str]:
    """Hash of every output by its path, but for the working files of runs."""
    data = project / "data/smoke"
    paths = [path for path in data.rglob("*") if path.is_file() and "runs" not in path.relative_to(data).parts]
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def project(whole_run: tuple[Path, str]) -> Path:
    return whole_run[0]


@pytest.fixture(scope="module")
def catalog(project: Path) -> DataCatalog:
    with KedroSession.create(project, env="smoke") as session:
        return session.load_context().catalog


@pytest.fixture(scope="module")
def metrics(catalog: DataCatalog) -> dict[str, Any]:
    return catalog.load("metrics")


def test_it_ends_with_a_table_of_all_methods_and_the_path_of_the_report(whole_run: tuple[Path, str]) -> None:
    project, shown = whole_run
    closing = shown[shown.index("digits: accuracy in %") :].splitlines()
    assert [line.split()[0] for line in closing if "x)" not in line and "k" in line][:2] == ["Teacher", "Projected"]
    assert closing[-1] == f"Report: {project / 'data/smoke/08_reporting/report.html'}"
    assert "Traceback" not in shown


def test_it_shows_which_node_runs_and_how_far_training_is(whole_run: tuple[Path, str]) -> None:
    _, shown = whole_run
    for node in pipelines["__default__"].nodes:
        assert node.name in shown
    for method in main_methods():
        assert f"train {method}" in shown
    assert "size 4 of 4: " in shown


def test_everything_of_the_catalog_is_there_and_can_be_read(catalog: DataCatalog) -> None:
    for name in sorted(pipelines["__default__"].all_outputs()):
        if not isinstance(catalog[name], MemoryDataset | FolderDataset):
            assert catalog.load(name) is not None, name


def test_nothing_half_written_is_left(project: Path) -> None:
    hidden = {path.name for path in (project / "data").rglob(".*")}
    assert hidden <= {LOCK, ".validate_storage_marker"}


def test_all_that_one_pipeline_reads_of_another_has_checksums(project: Path) -> None:
    listed = list((project / "data/smoke").glob("checksums/*/*.sha256"))
    read = {name for pipeline in WHOLE for name in pipelines[pipeline].inputs() if not name.startswith("param")}
    assert read - {"run_store"} == {path.stem for path in listed} & read | NOT_LISTED
    lines = [line.split("  ") for path in listed for line in path.read_text().splitlines()]
    kept = {name: checksum for checksum, name in lines}
    assert len(kept) == len(lines) == 21
    assert kept.items() <= files(project).items()


def test_models_that_were_changed_after_training_are_not_judged(project: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns("runs"))
    models = copied / "data/smoke/06_models/universal.safetensors"
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(models).items()}, models)
    with (
        pytest.raises(InputError, match="universal.safetensors: was changed since train_projector wrote it; make it"),
        KedroSession.create(copied, env="smoke") as session,
    ):
        session.run(pipeline_names=["evaluate"])


def test_metrics_have_the_form_that_all_data_sets_share(metrics: dict[str, Any]) -> None:
    assert metrics["dataset"] == "digits"
    assert (metrics["objective"], metrics["metric"], metrics["higher_is_better"]) == (
        "classification",
        "accuracy",
        True,
    )
    assert metrics["student"].keys() == {"params", "macs", "embed_dim", "depth", "num_heads", "mlp_ratio"}
    for size in ("params", "macs"):
        share = metrics["student"][size] / metrics["teacher"][size]
        assert metrics["reduction"][size] == pytest.approx(1 - share, abs=1e-6)
    assert metrics["results"].keys() == {"teacher", *main_methods(), *CONTROLS}
    for by_kind in metrics["results"].values():
        assert by_kind.keys() == {"new_combination", "new_class", "train"}
        assert {kind: cell["tasks"] for kind, cell in by_kind.items()} == {
            "new_combination": 3,
            "new_class": 1,
            "train": 2,
        }
        for cell in by_kind.values():
            low, high = cell["ci95"]
            assert 0 <= low <= cell["mean"] <= high <= 1


def test_the_projector_makes_the_models_that_were_judged(
    project: Path, catalog: DataCatalog, metrics: dict[str, Any]
) -> None:
    projector = load_projector(project / "data/smoke/06_models/projector")
    seed = projector.provenance["seed"]  # noqa: F841 - used in the query below
    card, tasks, results = (catalog.load(name) for name in ("dataset_card", "tasks", "results"))
    images, index = catalog.load("images"), catalog.load("index")
    judged = results.query("method == 'projected' and kind == 'new_combination' and seed == @seed")
    for row in judged.itertuples():
        class_ids = list(tasks.set_index("task_id")["class_ids"][row.task_id])
        classes = [card.classes[class_id] for class_id in class_ids]
        student = projector.student(classes, size=projector.operator.spec).to_timm()
        rows = index.query("split == 'test' and class_id in @class_ids")
        pixels = torch.tensor(images[rows["image_id"]]).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            answers = student((pixels - card.mean[0]) / card.std[0]).argmax(1)
        right = [class_ids[answer] == class_id for answer, class_id in zip(answers, rows["class_id"], strict=True)]
        assert sum(right) / len(right) == pytest.approx(row.score)
    assert sum(p.numel() for p in student.parameters()) < 0.5 * metrics["teacher"]["params"]


def test_the_teacher_is_a_folder_that_timm_reads(project: Path, catalog: DataCatalog) -> None:
    card = catalog.load("teacher_card")
    teacher = timm.create_model(f"local-dir:{project / 'data/smoke/06_models/teacher'}", pretrained=True)
    assert sum(p.numel() for p in teacher.parameters()) == card.params
    assert card.score["test"] > 0.3


def test_what_learns_has_learned(catalog: DataCatalog) -> None:
    for method in main_methods():
        history = catalog.load(f"{method}_history").sort_values("step")
        assert list(history["step"]) == [0, 20, 40]
        assert math.isnan(history["loss"].iloc[0])
        assert history["loss"].iloc[-1] < history["loss"].iloc[1]


def test_the_same_inputs_give_the_same_bytes_and_names_of_runs(project: Path) -> None:
    before = files(project)
    kept = kedro(project)
    assert "taken from the finished run" in kept
    changed = {Path(name).name for name, digest in files(project).items() if before[name] != digest}
    assert changed - OF_SIZES - LISTED_OF_SIZES == OF_THE_CLOCK

    # All is made again but two trained methods: their runs are found by a name that is a hash of all that went in.
    for path in [*(project / "data/smoke").glob("0*"), *(project / "data/smoke/runs").iterdir()]:
        if not path.name.startswith(("static-", "universal-")):
            shutil.rmtree(path)
    remade = kedro(project)
    assert remade.count("taken from the finished run") == 2
    again = files(project)
    assert again.keys() == before.keys()
    changed = {Path(name).name for name, digest in again.items() if before[name] != digest}
    assert changed - OF_SIZES - LISTED_OF_SIZES == OF_THE_CLOCK


def test_a_fresh_clone_pulls_what_was_pushed_and_is_up_to_date(project: Path, tmp_path: Path) -> None:
    made, clone = tmp_path / "made", tmp_path / "clone"
    made.mkdir()
    listed = ["git", "ls-files", "-z", ".dvc", "conf", "dvc.yaml", "src", ".dvcignore", ".gitignore", "pyproject.toml"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made / name)
    shutil.copytree(project / "data/smoke", made / "data/digits", ignore=shutil.ignore_patterns("runs"))

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=projpipe", "-c", "user.email=projpipe@localhost"]
        subprocess.run(["git", *who, *arguments], cwd=made, check=True, capture_output=True)

    def dvc(folder: Path, *arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    git("init")
    dvc(made, "commit", "--force")  # dvc.lock, as `dvc repro` would have written it
    dvc(made, "remote", "add", "--default", "local", str(tmp_path / "remote"))
    dvc(made, "push")
    git("add", "--all")
    git("commit", "--message", "A run")
    git("clone", str(made), str(clone))
    dvc(clone, "pull")
    assert dvc(clone, "status").strip() == "Data and pipelines are up to date."

    shown = dvc(clone, "metrics", "show").splitlines()
    assert len(shown) <= 40
    assert max(map(len, shown)) <= 120
    assert "projected" in shown[0]
    dvc(clone, "plots", "show")
    page = (clone / "dvc_plots/index.html").read_text()
    assert "vegaEmbed(" in page
    assert "src=" not in page  # no network


def test_a_comparison_ends_with_a_page_of_all_methods_and_trains_nothing_twice(project: Path) -> None:
    assert "0 of 10 trials are finished" in kedro(project, "--pipelines", "compare_methods")
    folder = project / "data/smoke/08_reporting/comparison/main"
    summary = json.loads((folder / "comparison.json").read_text())["tables"]["smoke"]
    rows = {"projected", "static", "universal", "universal_selected", "scratch", "distilled", "pruned", "pruned_only"}
    rows |= {"calibrated", "calibrated_only", "specialist"}
    assert summary["results"].keys() == {"teacher", *CONTROLS, *rows, "tuned source", "uniform start"}
    assert summary["methods"]["tuned source"]["source_score"].keys() == {"before", "after"}
    assert summary["break_even"]["projector_flops"] > summary["break_even"]["flops_to_make"]
    page = (folder / "comparison.md").read_text()
    assert all(
        text in page for text in ("Universal conditional", "tuned source", "Break-even", "Headroom", "kedro run")
    )

    before = files(project)
    again = kedro(project, "--pipelines", "compare_methods")
    assert "10 of 10 trials are finished" in again
    assert "1 of 1 trials are finished" in again
    changed = {Path(name).name for name, digest in files(project).items() if before[name] != digest}
    assert changed <= {"comparison.md", "timings.json"}  # the page shows rounded times, which may come out the same


@pytest.mark.parametrize("page", sorted(WITH_COMMANDS - {IMAGE_MODELLING}))
def test_what_a_page_tells_to_type_runs(page: str, project: Path, tmp_path: Path) -> None:
    type_all(page, project, tmp_path)
