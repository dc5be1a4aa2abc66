"""Every environment under conf/ fits together: its parameters are known, its teacher and its students can be built."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.config import OmegaConfigLoader

from projpipe import config
from projpipe.experiments.plan import check_parts, plan
from projpipe.experiments.sweep import check_space
from projpipe.images.card import DatasetCard
from projpipe.objectives import OBJECTIVES, make_objective
from projpipe.settings import CONFIG_LOADER_ARGS
from projpipe.teacher.create import create_teacher
from projpipe.transformer.spec import TransformerSpec

CONF = Path(__file__).parents[1] / "conf"
ENVIRONMENTS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "local")
each_environment = pytest.mark.parametrize("env", ENVIRONMENTS)


def parameters(env: str) -> dict[str, Any]:
    loader = OmegaConfigLoader(str(CONF), env=env, **CONFIG_LOADER_ARGS)
    return loader["parameters"]


def image_card(source: config.ImageSource) -> DatasetCard:
    side = {"digits": 8, "fashion_mnist": 28}.get(source.name) or source.image_size  # type: ignore[union-attr]
    channels = 3 if source.name == "image_folder" and not source.grey else 1
    return DatasetCard(
        name=source.name,
        image_size=(side, side),
        channels=channels,
        inverted=False,
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
        classes=("a", "b", "c"),
        groups=("",) * 3,
        held_out_classes=(),
        images={"train": 64},
        unreadable=(),
        sha256="",
    )


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
    check_space(config.SweepStudentsConfig(**given["sweep_students"]).space, spec)
    config.EvaluateConfig(**given["evaluate"])
    parts = plan(config.CompareMethodsConfig(**given["compare_methods"]), training)
    check_parts(parts, spec, OBJECTIVES[extraction.objective.name])


@each_environment
def test_every_parameter_file_opens_with_its_command_what_to_expect_and_how_long_it_takes(env: str) -> None:
    own = [path for path in sorted((CONF / env).glob("parameters_*.yml")) if not path.is_symlink()]
    for path in own:
        pipeline = path.stem.removeprefix("parameters_")
        opening = path.read_text().split(f"\n{pipeline}:")[0]
        where = "" if env == "base" else f"--env {env} "
        assert opening.startswith(f"# kedro run {where}--pipelines {pipeline}\n"), path
        assert "# Expected: " in opening, path
        assert "Run time: " in opening, path


@each_environment
def test_dvc_sees_what_kedro_sees(env: str) -> None:
    for path in (CONF / env).glob("parameters_*.yml"):
        assert "${" not in path.read_text(), f"{path}: DVC reads interpolation as text"
