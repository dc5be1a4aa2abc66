import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from threadpoolctl import threadpool_info

from projpipe.errors import InputError
from projpipe.hooks import LAST, ThreadHooks
from projpipe.pipeline_registry import ORDER
from projpipe.training.threads import use_threads


def run(project: Path, *pipelines: str, env: str | None = "smoke", **options: object) -> None:
    with KedroSession.create(project, env=env) as session:
        session.run(pipeline_names=list(pipelines), **options)


def test_a_run_without_its_inputs_names_them_and_the_command_that_makes_them(project: Path) -> None:
    with pytest.raises(InputError) as error:
        run(project, "train_projector")
    assert str(error.value) == (
        "dataset_card, images, index, objective, source_statistics, source_weights, tasks, teacher, teacher_card, "
        "teacher_logits: not there yet; make them with `kedro run --env smoke --pipelines split_tasks,extract_teacher`"
    )


def test_the_command_leaves_out_pipelines_whose_outputs_are_there(project: Path) -> None:
    run(project, "split_tasks")
    with pytest.raises(InputError) as error:
        run(project, "train_projector")
    assert str(error.value).startswith("objective, source_statistics, source_weights, teacher, ")
    assert str(error.value).endswith("`kedro run --env smoke --pipelines extract_teacher`")


def test_the_command_names_no_environment_where_none_was_given(project: Path) -> None:
    with pytest.raises(InputError, match="`kedro run --pipelines split_tasks`$"):
        run(project, "extract_teacher", env=None)


def test_part_of_a_pipeline_asks_for_the_whole_of_it_where_something_was_kept_in_memory(project: Path) -> None:
    with pytest.raises(InputError, match=r"raw_images: not there yet; make it with `.*--pipelines split_tasks`$"):
        run(project, "split_tasks", node_names=["split_tasks.sample_tasks_node"])


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"train_projector": {"student": {"embed_dim": 48}}}, r"train_projector\.student: 48 wide x 1 deep.*wider"),
        (
            {"train_projector": {"smallest": {"num_heads": 4}}},
            r"train_projector\.smallest: num_heads 4 is above the 2 of the largest; make it smaller",
        ),
        (
            {"sweep_students": {"max_parameters": 10}},
            r"sweep_students\.max_parameters: no size has 10 or fewer; the least is [\d,]+, of \d+x1x2x\d+; raise it",
        ),
        (
            {"extract_teacher": {"arguments": {"depth": 1, "embed_dim": 12, "mlp_ratio": 2.0}}},
            "make the student smaller",
        ),
        ({"train_projector": {"ray": {"num_workers": 2, "cpus_per_worker": 500}}}, "2 workers ask for 1000 CPUs"),
        ({"extract_teacher": {"architecture": "vit_tiny_patch16_225"}}, "did you mean 'vit_tiny_patch16_224'"),
        ({"extract_teacher": {"architecture": "swin_tiny_patch4_window7_224"}}, "cannot be projected"),
        (
            {"split_tasks": {"tasks": [{"strategy": "random", "classes_per_task": [1, 3], "counts": {"train": 2}}]}},
            r"split_tasks\.tasks\[0\]\.classes_per_task: 1 is below the 2 classes that classification needs; raise it",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_the_teacher_is_trained(
    project: Path, parameters: dict[str, Any], wrong: str
) -> None:
    with (
        pytest.raises(InputError, match=wrong),
        KedroSession.create(project, env="smoke", runtime_params=parameters) as session,
    ):
        session.run()
    assert not (project / "data").exists()


@pytest.mark.parametrize("before", [[], ["split_tasks"]])
def test_more_sampled_tasks_than_will_be_held_out_are_refused_before_the_teacher_is_trained(
    before: list[str], project: Path
) -> None:
    if before:
        run(project, *before)
    all_of_them = ("split_tasks", "extract_teacher", "compare_methods")
    more = {"compare_methods": {"comparisons": {"main": {"sampled_tasks": 99}}}}
    with (
        pytest.raises(InputError, match=r"sampled_tasks: 99 is more than the 4 held-out tasks of split_tasks"),
        KedroSession.create(project, env="smoke", runtime_params=more) as session,
    ):
        session.run(pipeline_names=[name for name in all_of_them if name not in before])
    assert (project / "data").exists() == bool(before)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"student": {"embed_dim": 48}}, r"table 'wide', row 'projected': 48 wide x 1 deep.*wider"),
        (
            {"student": {"embed_dims": 48}},
            r"table 'wide', row 'projected', changes: student\.embed_dims: there is no",
        ),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_before_the_teacher_is_trained(
    project: Path, changes: dict[str, Any], wrong: str
) -> None:
    table = {"name": "wide", "seeds": [0], "changes": changes, "methods": [{"method": "projected"}]}
    wide = {"compare_methods": {"comparisons": {"main": {"tables": [table]}}}}
    with (
        pytest.raises(InputError, match=rf"compare_methods\.comparisons, {wrong}"),
        KedroSession.create(project, env="smoke", runtime_params=wide) as session,
    ):
        session.run(pipeline_names=["split_tasks", "extract_teacher", "compare_methods"])
    assert not (project / "data").exists()


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    use_threads(before)


FEW = {"extract_teacher": {"training": {"epochs": 1}}}


def test_how_many_threads_there_are_changes_nothing_of_the_teacher(project: Path, threads: None) -> None:
    made = []
    for found in (1, 2):  # as OMP_NUM_THREADS, or the cores of a machine, would have it
        use_threads(found)
        with KedroSession.create(project, env="smoke", runtime_params=FEW) as session:
            session.run(pipeline_names=["split_tasks", "extract_teacher"])
        made.append({path.name: path.read_bytes() for path in project.glob("data/smoke/0*/**/*.safetensors")})
        shutil.rmtree(project / "data")
    assert len(made[0]) == 4
    assert made[0] == made[1]


def test_nodes_have_the_threads_of_their_parameters(project: Path, threads: None) -> None:
    asked = {"extract_teacher": {"threads": 3}, "train_projector": {"ray": {"cpus_per_worker": 2}}}
    with KedroSession.create(project, env="smoke", runtime_params=asked) as session:
        catalog = session.load_context().catalog
    for pipeline, count in (("extract_teacher", 3), ("train_projector", 2), ("evaluate", 2)):
        use_threads(1)
        ThreadHooks().before_node_run(pipelines[pipeline].nodes[0], catalog)
        assert torch.get_num_threads() == count
        assert {library["num_threads"] for library in threadpool_info()} == {count}


def test_a_whole_run_needs_nothing_beforehand(project: Path) -> None:
    run(project, "split_tasks", "extract_teacher", to_outputs=["tasks"])
    assert (project / "data/smoke/03_primary/tasks.parquet").exists()


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("index.parquet", b"PAR1", r"index\.parquet cannot be read"),
        ("images/images.npy", None, r"images\.npy cannot be read"),
    ],
)
def test_a_damaged_input_is_named_with_the_command_that_makes_it_again(
    project: Path, name: str, content: bytes | None, wrong: str
) -> None:
    run(project, "split_tasks")
    file = project / "data/smoke/03_primary" / name
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(
        InputError, match=rf"{wrong}.*; delete it and .*`kedro run --env smoke --pipelines split_tasks`$"
    ):
        run(project, "extract_teacher")


def test_a_table_that_was_changed_is_named_with_what_it_breaks(project: Path) -> None:
    import pandas as pd

    run(project, "split_tasks")
    file = project / "data/smoke/03_primary/index.parquet"
    pd.read_parquet(file).assign(split="tset").to_parquet(file, index=False)
    with pytest.raises(InputError, match=r"index\.parquet breaks its schema .*'split'.*; delete it and make it again"):
        run(project, "extract_teacher")


def overwrite_half(primary: Path) -> None:
    images = primary / "images/images.npy"
    content = images.read_bytes()
    images.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def swap_splits(primary: Path) -> None:
    import pandas as pd

    index = pd.read_parquet(primary / "index.parquet")
    swapped = index["split"].replace({"train": "test", "test": "train"})
    index.assign(split=swapped).to_parquet(primary / "index.parquet", index=False)


@pytest.mark.parametrize("change", [overwrite_half, swap_splits])
def test_images_that_are_not_those_of_their_card_are_refused_before_any_node_runs(
    project: Path, change: Callable[[Path], None]
) -> None:
    run(project, "split_tasks")
    change(project / "data/smoke/03_primary")
    with pytest.raises(InputError) as error:
        run(project, "extract_teacher")
    assert str(error.value) == (
        "images or index: were changed since their card, dataset.json, was written: its sha256 differs; make them "
        "again with `kedro run --env smoke --pipelines split_tasks`"
    )
    assert not (project / "data/smoke/05_model_input").exists()
    run(project, "split_tasks")
    run(project, "extract_teacher", to_outputs=["objective"])


def negate_head(teacher: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(teacher / "model.safetensors")
    save_file({**tensors, "head.weight": -tensors["head.weight"]}, teacher / "model.safetensors")


def negate(file: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name: -tensor for name, tensor in load_file(file).items()}, file)


def forget_a_task(file: Path) -> None:
    import pandas as pd

    pd.read_parquet(file).iloc[1:].to_parquet(file, index=False)


@pytest.fixture(scope="module")
def extracted(make_project: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is ready to train in."""
    project = make_project(tmp_path_factory.mktemp("project"))
    with KedroSession.create(project, env="smoke", runtime_params=FEW) as session:
        session.run(pipeline_names=["split_tasks", "extract_teacher"])
    return project


@pytest.mark.parametrize(
    ("maker", "path", "changed", "change"),
    [
        ("split_tasks", "03_primary/tasks.parquet", "", forget_a_task),
        ("split_tasks", "03_primary/dataset.json", "", lambda file: file.write_text(file.read_text() + "\n")),
        ("extract_teacher", "04_feature/source_statistics.safetensors", "", negate),
        ("extract_teacher", "05_model_input/teacher_logits.safetensors", "", negate),
        ("extract_teacher", "06_models/teacher", "/model.safetensors", negate_head),
        ("extract_teacher", "06_models/teacher", "/config.json", lambda folder: (folder / "config.json").unlink()),
    ],
)
def test_what_was_changed_since_an_earlier_pipeline_wrote_it_is_refused_before_any_node_runs(
    maker: str, path: str, changed: str, change: Callable[[Path], object], extracted: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(extracted, project)
    artefact = project / "data/smoke" / path
    change(artefact)
    with pytest.raises(InputError) as error:
        run(project, "train_projector", node_names=["train_projector.gather_run_inputs_node"])
    assert str(error.value) == (
        f"{artefact}{changed}: was changed since {maker} wrote it; make it again with `kedro run --env smoke "
        f"--pipelines {maker}`"
    )


def test_what_is_made_again_with_other_parameters_is_taken(extracted: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(extracted, project)
    teacher = project / "data/smoke/06_models/teacher/model.safetensors"
    before = teacher.read_bytes()
    with KedroSession.create(
        project, env="smoke", runtime_params={"extract_teacher": {"seed": 5, **FEW["extract_teacher"]}}
    ) as session:
        session.run(pipeline_names=["extract_teacher"])
    assert teacher.read_bytes() != before
    run(project, "train_projector", node_names=["train_projector.gather_run_inputs_node"])


def test_no_checksums_of_an_earlier_run_stay_where_one_is_killed_while_it_writes(
    extracted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from projpipe import hooks

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    project = tmp_path / "project"
    shutil.copytree(extracted, project)
    monkeypatch.setattr(hooks, "write_checksums", killed)
    with pytest.raises(RuntimeError, match="killed"):
        run(project, "split_tasks")
    kept = {path.stem for path in (project / "data/smoke/checksums/split_tasks").iterdir()}
    assert kept == {"dataset_card"}
    monkeypatch.undo()
    run(project, "train_projector", node_names=["train_projector.gather_run_inputs_node"])


def test_data_of_an_older_version_which_kept_no_checksums_are_taken(extracted: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(extracted, project)
    shutil.rmtree(project / "data/smoke/checksums")
    run(project, "train_projector", node_names=["train_projector.gather_run_inputs_node"])


def test_nothing_is_read_of_the_pipelines_whose_outputs_have_no_checksums() -> None:
    pipelines.set_requested(None)
    written = set().union(*(pipelines[name].all_outputs() for name in LAST))
    assert not written & set().union(*(pipelines[name].inputs() for name in ORDER))


def test_the_terminal_shows_which_nodes_run_and_no_noise(project: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--pipeline=split_tasks"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split("] ")[-1].strip() for line in (shown.stdout + shown.stderr).splitlines()]
    assert [line for line in lines if " took " not in line] == [
        "split_tasks.read_images_node",
        "split_tasks.sample_tasks_node",
        "split_tasks.split_images_node",
    ]
