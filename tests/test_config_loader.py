"""Configuration as it is loaded: what an environment changes, and where its data lie."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kedro.framework.session import KedroSession
from PIL import Image

from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.errors import InputError
from projpipe.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[1] / "conf"
OMNIGLOT_PAGE = "data/omniglot/08_reporting/comparison/{}/comparison.md"


def configuration(env: str | None, conf: Path = CONF, **parameters: Any) -> EnvironmentConfigLoader:
    return EnvironmentConfigLoader(conf, env, parameters, **CONFIG_LOADER_ARGS)


@pytest.mark.parametrize("env", ["digits", "omniglot_modeling"])
def test_an_environment_changes_the_keys_that_it_states_and_keeps_all_others(env: str) -> None:
    expected, own = (yaml.safe_load((CONF / name / "parameters.yml").read_text()) for name in ("base", env))
    overlay(expected, own)
    assert configuration(env)["parameters"] == expected


def overlay(parameters: dict[str, Any], stated: dict[str, Any]) -> None:
    for key, value in stated.items():
        if isinstance(value, dict) and isinstance(parameters.get(key), dict):
            overlay(parameters[key], value)
        else:
            parameters[key] = value


def test_digits_is_the_default() -> None:
    assert configuration(None)["parameters"] == configuration("digits")["parameters"]
    assert configuration(None)["catalog"]["tasks"]["filepath"] == "data/digits/03_primary/tasks.parquet"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("smok", "--env: 'smok' is not an environment; did you mean 'smoke'.$"),
        ("base", "--env: 'base' is not an environment; there are cifar100, cifar100_all, digits, .*, smoke_modeling$"),
        ("../conf/smoke", "is not an environment"),
    ],
)
def test_what_is_not_an_environment_is_refused_with_the_nearest_or_all(env: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        configuration(env)


@pytest.mark.parametrize("name", ["photos[1]", "photos?", "photos*"])
def test_a_folder_that_looks_like_a_pattern_is_refused_as_kedro_finds_nothing_in_it(name: str, tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / name / "conf")
    with pytest.raises(InputError, match=r"photos.*/conf: Kedro finds no configuration in .*; rename it$"):
        configuration("smoke", tmp_path / name / "conf")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[split_tasks]", "'list' object"),
        ("7", "Invalid loaded object type: int"),
        ("split_tasks: {source: {name: '${x}'}}", "Interpolation key 'x' not found full_key: split_tasks.source.name"),
        ("split_tasks: {source: {name: '${x'}}", "no viable alternative"),
        ("split_tasks: &loop [*loop]", "maximum recursion depth"),
        ("split_tasks: " + 400 * "[" + 400 * "]", "maximum recursion depth"),
        ("split_tasks: {seed: !!set {a, b}}", "Value 'set' is not a supported primitive type"),
        ("split_tasks: !!python/object:os.system x", "could not determine a constructor"),
        ("a\0b", "unacceptable character"),
    ],
)
def test_a_file_of_something_else_than_sections_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf/smoke/parameters.yml").write_text(text)
    with pytest.raises(InputError) as error:
        configuration("smoke", tmp_path / "conf")["parameters"]
    message = str(error.value)
    assert message.startswith("conf/smoke/parameters.yml or conf/base/parameters.yml: cannot be read (")
    assert reason in message
    assert message.endswith("; correct it") or "recursion" in message
    assert message.isprintable()


def test_parameters_in_a_file_of_another_name_are_refused(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf/smoke/parameters_evaluate.yml").write_text("evaluate: {}")
    with pytest.raises(
        InputError, match=r"smoke/parameters_evaluate\.yml: .* move what this holds to parameters\.yml$"
    ):
        configuration("smoke", tmp_path / "conf")


def test_a_comparison_has_a_folder_of_its_name_however_it_is_asked_for(tmp_path: Path) -> None:
    assert page(configuration("omniglot")) == OMNIGLOT_PAGE.format("main")
    assert page(configuration("omniglot", compare_methods={"comparison": "long"})) == OMNIGLOT_PAGE.format("long")
    shutil.copytree(CONF, tmp_path / "conf")
    with (tmp_path / "conf/omniglot/parameters.yml").open("a") as file:
        file.write("  comparison: ablation\n")  # of compare_methods, the last section
    asked = configuration("omniglot", tmp_path / "conf")
    assert asked["parameters"]["compare_methods"]["comparison"] == "ablation"
    assert page(asked) == OMNIGLOT_PAGE.format("ablation")


def page(loader: EnvironmentConfigLoader) -> str:
    return loader["catalog"]["comparison_page"]["filepath"]


def test_a_parameter_is_found_where_it_counts() -> None:
    loader = configuration("smoke", evaluate={"seed": 3})
    assert loader.origin(("evaluate", "seed")) == "--params"
    assert loader.origin(("evaluate", "latency", "repeats")) == "conf/smoke/parameters.yml"
    assert loader.origin(("evaluate", "latency", "threads")) == "conf/base/parameters.yml"
    assert loader.origin(("evaluate", "latency", "nowhere")) == "conf/smoke/parameters.yml"


def test_a_copy_of_an_environment_keeps_its_data_apart(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    for number in range(10 * 5):
        folder = project / f"data/01_raw/images/class_{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (70, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    shutil.copytree(project / "conf/image_folder", project / "conf/mine")
    draw = {
        "strategy": "random",
        "classes_per_task": [2, 2],
        "counts": {"train": 4, "validation": 1, "new_combination": 1},
    }
    fewer = {"split_tasks": {"held_out_classes": {"count": 1}, "tasks": [draw]}}
    with KedroSession.create(project, env="mine", runtime_params=fewer) as session:
        session.run(pipeline_names=["split_tasks"])
    assert (project / "data/mine/03_primary/tasks.parquet").exists()
    assert {path.name for path in (project / "data").iterdir()} == {"01_raw", "mine"}
