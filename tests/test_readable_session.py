import errno
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from projpipe.lock import locked
from projpipe.readable_session import ReadableSession


def run(project: Path, *pipelines: str, env: str = "smoke", parameters: object = None, **part: object) -> None:
    with ReadableSession.create(project, env=env, runtime_params=parameters) as session:
        session.run(pipeline_names=list(pipelines), **part)


def refused(project: Path, *pipelines: str, env: str = "smoke", **parameters: object) -> str:
    return part_refused(project, *pipelines, env=env, parameters=parameters)


def part_refused(project: Path, *pipelines: str, env: str = "smoke", parameters: object = None, **part: object) -> str:
    """What is said of a run that has not begun."""
    with pytest.raises(click.ClickException) as error:
        run(project, *pipelines, env=env, parameters=parameters, **part)
    assert not (project / "data/smoke/03_primary").exists()
    return error.value.message


def test_an_unknown_pipeline_gets_the_nearest_name(project: Path) -> None:
    assert refused(project, "train_projectr") == (
        "--pipelines: 'train_projectr' is not a pipeline; did you mean 'train_projector'?"
    )


def test_a_second_run_on_the_same_data_is_refused_and_the_first_is_named(project: Path) -> None:
    with locked(project / "data/smoke"):
        found = refused(project, "split_tasks")
    assert found.startswith(f"{project}/data/smoke: is in use by another run (process {os.getpid()}: ")
    assert found.endswith("); wait until that has ended, or stop it")


def test_what_a_killed_run_left_half_written_is_gone_after_the_next(project: Path) -> None:
    left = project / "data/smoke/03_primary/.images.unfinished-12345678"
    (left / "images").mkdir(parents=True)
    run(project, "split_tasks")
    assert not left.exists()
    assert (left.parent / "images").exists()


def test_a_folder_that_cannot_be_written_is_named(project: Path) -> None:
    (project / "data").symlink_to("/sys")
    assert re.fullmatch(
        r".*/data/smoke: cannot be opened or written \(.+\); allow it, or use another folder",
        refused(project, "split_tasks"),
    )


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="there is no other disk")
def test_a_full_disk_that_the_folder_of_data_leads_to_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    usage = {Path("/dev/shm"): 0}
    monkeypatch.setattr("projpipe.images.stored.write_images", fail)
    monkeypatch.setattr("shutil.disk_usage", lambda disk: SimpleNamespace(free=usage.get(disk, 2**40)))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (project / "data").mkdir()
        (project / "data/smoke").symlink_to(elsewhere)
        with pytest.raises(click.ClickException) as error:
            run(project, "split_tasks")
    assert error.value.message.startswith(f"{project}/data/smoke: the disk /dev/shm is full (0 MB are free); make room")


def test_a_folder_of_data_that_is_a_link_to_nothing_is_named(project: Path) -> None:
    (project / "data").mkdir()
    (project / "data/smoke").symlink_to("/nowhere")
    assert refused(project, "split_tasks").startswith(
        f"{project}/data/smoke: cannot be made a folder, as a file or a l"
    )


def test_a_section_of_parameters_that_no_pipeline_has_is_refused(project: Path) -> None:
    message = "there is no such section of parameters; did you mean 'train_projector'?"
    assert refused(project, "split_tasks", train_projectr={"seeds": [1]}) == f"--params: train_projectr: {message}"
    file = project / "conf/smoke/parameters.yml"
    file.write_text(file.read_text().replace("train_projector:", "train_projectr:"))
    assert refused(project, "split_tasks") == f"conf/smoke/parameters.yml: train_projectr: {message}"


def test_the_nearest_name_is_one_of_those_at_the_place(project: Path) -> None:
    found = refused(project, "train_projector", train_projector={"sead": 1, "ray": {"num_worker": 2}})
    assert found.splitlines() == [
        "--params: train_projector.ray.num_worker: there is no such parameter; did you mean 'num_workers'?",
        "--params: train_projector.sead: there is no such parameter; did you mean 'seeds'?",
    ]


def test_a_misspelt_name_is_refused_in_sections_that_the_run_does_not_read(project: Path) -> None:
    wrong = {"train_projector": {"ray": {"num_worker": 2}, "seeds": []}, "evaluate": {"seed": -1}}
    assert refused(project, "split_tasks", **wrong).splitlines() == [
        "--params: train_projector.seeds: Tuple should have at least 1 item after validation, not 0 (given: [])",
        "--params: train_projector.ray.num_worker: there is no such parameter; did you mean 'num_workers'?",
    ]


NODE = "split_tasks.read_images_node"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"node_names": ["read_images_node"]}, f"--nodes: 'read_images_node' is no node of .*; did you mean '{NODE}'?"),
        ({"from_nodes": ["x"]}, f"--from-nodes: 'x' is no node of the pipelines that are run; there are {NODE}, split"),
        (
            {"to_nodes": [NODE, "split_tasks.split_image_node"]},
            "--to-nodes: .*; did you mean 'split_tasks.split_images_",
        ),
        ({"tags": ["split_task"]}, "--tags: 'split_task' is no tag .*; did you mean 'split_tasks'?"),
        ({"from_inputs": ["raw_image"]}, "--from-inputs: 'raw_image' is no data set .*; did you mean 'raw_images'?"),
        ({"to_outputs": ["task"]}, "--to-outputs: 'task' is no data set of .*; did you mean 'tasks'?"),
        ({"namespaces": ["split_task"]}, "--namespaces: 'split_task' is no namespace .*; did you mean 'split_tasks'?"),
        (
            {"load_versions": {"images": "2020"}},
            "--load-versions: data sets of this project have no versions; leave it",
        ),
        ({"to_outputs": ["raw_images"], "from_inputs": ["images"]}, "--from-inputs, --to-outputs: no node is all that"),
    ],
    ids=str,
)
def test_a_part_of_pipelines_that_there_is_not_is_refused_with_the_nearest(
    project: Path, part: dict[str, object], message: str
) -> None:
    found = part_refused(project, "split_tasks", **part)
    assert re.match(message, found)
    assert "\n" not in found


def test_a_value_of_a_megabyte_is_cut(project: Path) -> None:
    found = refused(project, "split_tasks", split_tasks={"seed": "x" * 10**6, "source": {"name": "y" * 10**6}})
    assert [len(line) < 900 for line in found.splitlines()] == [True, True]
    assert found.startswith("--params: split_tasks.seed: Input should be a valid integer")


def test_a_number_of_more_digits_than_python_writes_is_refused(project: Path) -> None:
    file = project / "conf/smoke/parameters.yml"
    file.write_text(file.read_text().replace("split_tasks:\n", f"split_tasks:\n  seed: 0x{5000 * 'f'}\n"))
    assert refused(project, "split_tasks") == (
        "conf/smoke/parameters.yml: split_tasks.seed: Input should be less than 2147483648 "
        "(given: a number of many digits)"
    )


def test_an_unknown_environment_gets_the_nearest_name(project: Path) -> None:
    assert refused(project, "split_tasks", env="smok") == ("--env: 'smok' is not an environment; did you mean 'smoke'?")


def test_a_run_that_is_refused_makes_no_folder(project: Path) -> None:
    refused(project, "split_tasks", split_tasks={"seed": -1})
    assert not (project / "data").exists()


def test_every_wrong_parameter_is_named_on_a_line_of_its_own(project: Path) -> None:
    wrong = {"seed": -1, "sead": 3, "split": {"validation": 0.8, "test": 0.3}}
    lines = refused(project, "split_tasks", split_tasks=wrong).splitlines()
    assert sorted(lines) == [
        "--params: split_tasks.sead: there is no such parameter; did you mean 'seed'?",
        "--params: split_tasks.seed: Input should be greater than or equal to 0 (given: -1)",
        (
            "--params: split_tasks.split: validation + test = 1.1 leaves no images to train on "
            "(given: {'validation': 0.8, 'test': 0.3})"
        ),
    ]


def test_one_wrong_entry_of_a_list_is_one_line(project: Path) -> None:
    tables = [{"name": "small", "seeds": [0, 0], "methods": [{"method": 7, "learning_rate": math.inf}]}]
    comparisons = {"main": {"sampled_tasks": 2, "tables": tables}}
    lines = refused(project, "compare_methods", compare_methods={"comparisons": comparisons}).splitlines()
    place = "--params: compare_methods.comparisons.main.tables.0"
    assert [line.split(": Input should be")[0] for line in lines] == [
        f"{place}.seeds: seeds [0, 0] repeat a value; give each once (given: [0, 0])",
        f"{place}.methods.0.method",
        f"{place}.methods.0.learning_rate",
    ]


def test_a_list_without_entries_is_refused(project: Path) -> None:
    found = refused(project, "compare_methods", compare_methods={"comparisons": {"main": {"tables": []}}})
    assert (
        "compare_methods.comparisons.main.tables: Tuple should have at least 1 item after validation, not 0 (given: [])"
        in found
    )


def test_the_place_of_a_parameter_is_that_in_its_file(project: Path) -> None:
    wrong = {"objective": {"name": "image_modeling", "tokens": {"kind": "pixels", "levels": 1, "codebook": 4}}}
    lines = refused(project, "extract_teacher", env="smoke_modeling", extract_teacher=wrong).splitlines()
    place = "--params: extract_teacher.objective.tokens"
    assert f"{place}.levels: Input should be greater than or equal to 2 (given: 1)" in lines
    assert f"{place}.codebook: there is no such parameter" in lines


def test_parameters_that_are_wrong_together_are_refused(project: Path) -> None:
    message = refused(project, "train_projector", train_projector={"student": {"num_heads": 5}})
    assert "train_projector.student: embed_dim 12 is not divisible by num_heads 5" in message


def test_a_wrong_parameter_is_named_with_its_file(project: Path) -> None:
    own, shared = project / "conf/smoke/parameters.yml", project / "conf/base/parameters.yml"
    own.write_text(own.read_text().replace("  bootstrap_samples: 100\n", "  bootstrap_samples: 10\n"))
    shared.write_text(shared.read_text().replace("    threads: 1\n", "    threads: 0\n"))
    assert sorted(line.split(": Input")[0] for line in refused(project, "evaluate").splitlines()) == [
        "conf/base/parameters.yml: evaluate.latency.threads",
        "conf/smoke/parameters.yml: evaluate.bootstrap_samples",
    ]


def test_a_parameter_that_is_not_stated_is_named_with_the_file_to_state_it_in(project: Path) -> None:
    shared = project / "conf/base/parameters.yml"
    shared.write_text(shared.read_text().replace("  example_tasks: 4\n", ""))
    assert refused(project, "evaluate") == "conf/smoke/parameters.yml: evaluate.example_tasks: is missing"


def test_a_comparison_that_is_not_there_gets_the_nearest_name(project: Path) -> None:
    message = refused(project, "compare_methods", env="omniglot", compare_methods={"comparison": "larg"})
    assert message == (
        "--params: compare_methods.comparison: there is no such comparison; did you mean 'large'? (given: 'larg')"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digitz", "did you mean 'digits'?"),
        ("mine", "there are digits, fashion_mnist, omniglot, image_folder"),
    ],
)
def test_an_unknown_source_of_images_gets_the_nearest_name_or_all(project: Path, name: str, hint: str) -> None:
    message = refused(project, "split_tasks", split_tasks={"source": {"name": name}})
    assert message == f"--params: split_tasks.source: there is no {name!r}; {hint}"


def test_a_file_that_is_no_yaml_is_named(project: Path) -> None:
    (project / "conf/smoke/parameters.yml").write_text("evaluate: [1\n")
    assert "conf/smoke/parameters.yml" in refused(project, "split_tasks")


def test_input_that_a_node_refuses_stops_the_run_with_its_message(project: Path) -> None:
    message = refused(project, "split_tasks", split_tasks={"held_out_classes": {"count": 0, "names": ["tenn"]}})
    assert "'tenn'" in message
    assert "Traceback" not in message


def test_the_command_line_shows_one_line_and_fails(project: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--pipelines", "extract_teacher"],
        cwd=project,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        "Error: dataset_card, images, index: not there yet; make them with `kedro run --pipelines split_tasks`\n"
    )
