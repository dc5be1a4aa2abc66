"""Every environment under conf/ fits together: its parameters are known, its teacher and its students can be built."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.runner import SequentialRunner

from makers import CONF, ENVIRONMENTS, dataset_card
from projpipe import config
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.experiments.plan import check_sampled, check_trials, plan, with_any_rates
from projpipe.images.dataset_card import DatasetCard
from projpipe.methods.method import sizes_of
from projpipe.objectives import OBJECTIVES, make_objective
from projpipe.pipeline_registry import ORDER
from projpipe.settings import CONFIG_LOADER_ARGS
from projpipe.teacher.create import create_teacher
from projpipe.transformer.spec import TransformerSpec

each_environment = pytest.mark.parametrize("env", ENVIRONMENTS)


def parameters(env: str) -> dict[str, Any]:
    return EnvironmentConfigLoader(CONF, env=env, **CONFIG_LOADER_ARGS)["parameters"]


def stated(env: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / env / "parameters.yml").read_text())


def image_card(source: config.ImageSource) -> DatasetCard:
    side = {"digits": 8, "fashion_mnist": 28}.get(source.name) or source.image_size  # type: ignore[union-attr]
    channels = 3 if source.name == "image_folder" and not source.grey else 1
    half = (0.5,) * channels
    return dataset_card(channels, classes="abc", name=source.name, image_size=(side, side), mean=half, std=half)


@each_environment
def test_its_students_are_smaller_than_its_teacher_which_reads_its_images(env: str, tmp_path: Path) -> None:
    given = parameters(env)
    split = config.SplitTasksConfig(**given["split_tasks"])
    training = config.TrainProjectorConfig(**given["train_projector"])
    extraction, card = config.ExtractTeacherConfig(**given["extract_teacher"]), image_card(split.source)
    if extraction.weights == "pretrained":  # of the same shape, and not to be fetched
        trained = extraction.training.model_copy(update={"epochs": 1})
        extraction = extraction.model_copy(update={"weights": "random", "training": trained})
    images = np.random.default_rng(0).integers(0, 256, (64, *card.image_size, card.channels), np.uint8)
    teacher = create_teacher(extraction, make_objective(extraction, images, np.arange(64), card), card, tmp_path)
    spec = TransformerSpec.of(teacher)
    student = spec.student(**training.student.model_dump())
    teacher_params = sum(parameter.numel() for parameter in teacher.parameters())
    assert student.deployed_params(num_classes=3) < (0.5 if env.startswith("smoke") else 0.09) * teacher_params
    sizes_of(training, student, spec)
    config.SweepStudentsConfig(**given["sweep_students"])
    config.EvaluateConfig(**given["evaluate"])
    for comparison in config.CompareMethodsConfig(**given["compare_methods"]).comparisons.values():
        check_trials(plan(comparison, with_any_rates(training)), spec, OBJECTIVES[extraction.objective.name])
        check_sampled(comparison, split.held_out_tasks(comparison.sampled_from))


def test_the_default_environment_is_one_of_them() -> None:
    assert CONFIG_LOADER_ARGS["default_run_env"] in ENVIRONMENTS


def test_every_environment_is_one_file_of_parameters_and_nothing_is_a_link() -> None:
    """A table of groups may lie beside it."""
    files = {
        path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if not path.is_dir() and path.suffix != ".csv"
    }
    environments = {f"{env}/parameters.yml" for env in ("base", *ENVIRONMENTS)}
    assert files == {"logging.yml", "base/catalog.yml"} | environments
    assert not [path for path in CONF.rglob("*") if path.is_symlink()]


@each_environment
def test_its_file_opens_with_its_command_what_to_expect_and_how_long_it_takes(env: str) -> None:
    text = (CONF / env / "parameters.yml").read_text()
    assert text.startswith(f"# kedro run --env {env}\n")
    says_what_to_expect(text.split("\n\n")[0], "the environment")


@each_environment
def test_so_does_every_section_and_every_comparison(env: str) -> None:
    comments = re.split(r"(?m)^ *# (?=kedro run --env)", (CONF / env / "parameters.yml").read_text())
    by_command = {comment.split("\n")[0]: comment for comment in comments}
    stating = tuple(name for name in ORDER if name != "sweep_students" or name in stated(env))  # base may say all of it
    assert tuple(stated(env)) == stating
    default, *others = stated(env)["compare_methods"]["comparisons"]
    assert default == config.DEFAULT_COMPARISON
    asked = [*stating, *(f"compare_methods --params compare_methods.comparison={name}" for name in others)]
    for options in asked:
        says_what_to_expect(by_command[f"kedro run --env {env} --pipelines {options}"], options)


def says_what_to_expect(comment: str, place: str) -> None:
    assert "# Expected: " in comment, place
    assert "Run time: " in comment, place


@each_environment
def test_it_states_nothing_that_base_says_already(env: str) -> None:
    base = dict(leaves(stated("base")))
    assert not {key for key, value in leaves(stated(env)) if key in base and base[key] == value}


@pytest.mark.parametrize("env", ["base", *ENVIRONMENTS])
def test_nothing_is_unset_and_all_is_literal(env: str) -> None:
    assert not [key for key, value in leaves(stated(env)) if value is None]
    text = (CONF / env / "parameters.yml").read_text()
    assert "${" not in text, "DVC reads interpolation as text"


def leaves(given: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no section, by its place."""
    if not isinstance(given, dict):
        yield at, given
        return
    for key, value in given.items():
        yield from leaves(value, f"{at}.{key}")


def test_base_states_nothing_that_every_environment_states_anew() -> None:
    own = [dict(leaves(stated(env))) for env in ENVIRONMENTS]
    assert not [key for key, _ in leaves(stated("base")) if all(key in one for one in own)]


def test_a_comparison_that_is_not_there_is_refused_with_those_there_are() -> None:
    given = parameters("omniglot")["compare_methods"]
    assert config.CompareMethodsConfig(**given).chosen.tables[0].name == "24 x 2, 1,000 steps"
    assert config.CompareMethodsConfig(**given, comparison="large").chosen.tables[0].name == "48 x 3, 1,000 steps"
    with pytest.raises(ValueError, match="there is no such comparison; did you mean 'ablation'"):
        config.CompareMethodsConfig(**given, comparison="ablatoin")
    with pytest.raises(ValueError, match="there is no such comparison; there are: other"):
        config.CompareMethodsConfig(comparisons={"other": given["comparisons"]["main"]})


class PassedError(Exception):
    """All checks are passed; the first node would run now."""


class StopsRunner(SequentialRunner):
    def run(self, *_: object, **__: object) -> dict[str, Any]:
        raise PassedError


@each_environment
def test_the_checks_of_a_whole_run_let_every_environment_pass(project: Path, env: str) -> None:
    with pytest.raises(PassedError), KedroSession.create(project, env=env) as session:
        session.run(pipeline_names=list(ORDER), runner=StopsRunner())
