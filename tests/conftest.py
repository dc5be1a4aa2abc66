"""What several test files share: a small teacher, what the projection reads of it, a project, a run in miniature."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_digits
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from makers import merged
from projpipe.config import TrainProjectorConfig
from projpipe.objectives import Classification, ImageModeling
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.objectives.tokens import Tokens
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.teacher.activations import activation_statistics
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.canonical import Weights, canonical_weights
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import VitArguments, create_vit

# Threads that spin while they wait take the cores of the processes that Ray and the tests start. Read by those alone:
# in this process torch is loaded already.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("projpipe", deadline=None)
hypothesis.settings.load_profile("projpipe")


def make_teacher(**arguments: object) -> VisionTransformer:
    """A teacher of 4 blocks x 24 for grey 8x8 images of 10 classes, with nothing left at its neutral init."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 3, "mlp_ratio": 2.0}
        model = timm.create_model(
            "vit_tiny_patch16_224", **{**sizes, "in_chans": 1, "num_classes": 10, **arguments}
        ).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    """Normalised grey images `[32, 1, 8, 8]`."""
    return torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def teacher() -> VisionTransformer:
    return make_teacher()


@pytest.fixture(scope="session")
def source(teacher: VisionTransformer, images: torch.Tensor) -> Source:
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    return Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)


@pytest.fixture(scope="session")
def objective() -> Classification:
    """What the teacher's students learn: to tell classes of grey 8x8 images apart."""
    return Classification([0.3], [0.35], (1, 8, 8))


SYMBOLS, TOLD = 3, 4  # of the decoders


@pytest.fixture
def modeling() -> ImageModeling:
    """2 x 2 images of three grey levels."""
    return ImageModeling(Tokens((2, 2), SYMBOLS), unconditional=0.25)


def _make_decoder(classes: int, registers: int = 0, seed: int = 0, **more: object) -> torch.nn.Module:
    """A timm ViT as a decoder of 2 x 2 symbols with random weights, far from its even init."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        arguments = {"img_size": 2, "patch_size": 1, "class_token": False, "global_pool": "", "reg_tokens": registers}
        sizes = {"embed_dim": 12, "depth": 2, "num_heads": 2, "no_embed_class": True}
        asked = VitArguments(arguments | sizes | more, SYMBOLS + 1 + classes, SYMBOLS)
        model = create_vit("vit_tiny_patch16_224", asked)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture
def make_decoder() -> Callable[..., torch.nn.Module]:
    return _make_decoder


@pytest.fixture
def decoder_teacher() -> torch.nn.Module:
    """A decoder that can be told one of four classes."""
    return _make_decoder(TOLD)


@pytest.fixture(params=[False, True], ids=["plain", "pre_norm"])
def decoder(request: pytest.FixtureRequest) -> tuple[TransformerSpec, Weights]:
    """The shape and the canonical weights of a decoder that is told nothing, with a token before its symbols."""
    model = _make_decoder(0, registers=1, seed=1, pre_norm=request.param)
    return TransformerSpec.of(model), canonical_weights(model)


@pytest.fixture
def all_images() -> Tensor:
    """Every image there is: int64 [81, 1, 2, 2]."""
    return torch.cartesian_prod(*[torch.arange(SYMBOLS)] * 4).view(-1, 1, 2, 2)


@pytest.fixture
def decoder_source(decoder_teacher: torch.nn.Module, modeling: ImageModeling, all_images: Tensor) -> Source:
    """What a projection reads of the decoder that can be told a class."""
    labels = torch.arange(len(all_images)) % TOLD
    statistics = activation_statistics(
        decoder_teacher, [lambda: modeling.teacher_logits(decoder_teacher, all_images, labels)]
    )
    return Source(TransformerSpec.of(decoder_teacher), canonical_weights(decoder_teacher), statistics)


@pytest.fixture
def image_projector(decoder_source: Source, modeling: ImageModeling, tmp_path: Path) -> Path:
    """The folder of a projector of image models, of 2 x 2 pixels."""
    terms = Conditioning(experts=3, film=True, task_embed_dim=8)
    operator = ProjectionOperator(decoder_source, decoder_source.spec.student(8, 1, 2, 1.0), terms, seed=0)
    data = {"name": "tiny", "classes": ["a", "b", "c", "d"], "groups": [""] * 4, "held_out_classes": []}
    teacher = {
        "architecture": "vit_tiny_patch16_224",
        "params": 9999,
        "metric": "bits_per_pixel",
        "score": {"test": 1.7},
    }
    provenance = {"teacher": teacher, "seed": 0, "validation_score": 1.75}
    Projector(operator.eval(), modeling, data, provenance).save(tmp_path / "image_projector")
    return tmp_path / "image_projector"


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def make_project() -> Callable[[Path], Path]:
    """Makes a folder a Kedro project: this one's code and configuration, with an empty data folder."""
    from kedro.framework.startup import bootstrap_project

    def make(folder: Path) -> Path:
        shutil.copytree(ROOT / "conf", folder / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder)
        (folder / "src").mkdir()  # Kedro asks for one; the package itself is installed
        bootstrap_project(folder)
        return folder

    return make


def _run_all(project: Path, env: str, *more: str) -> tuple[Path, str]:
    """Everything as a user types it; the project and what the terminal showed."""
    ended = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env", env, *more],
        cwd=project,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return project, ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def whole_run(make_project: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project in which the environment `smoke` has run, and what the terminal showed."""
    return _run_all(make_project(tmp_path_factory.mktemp("whole")), "smoke")


@pytest.fixture(scope="session")
def modeling_run(make_project: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project in which `smoke_modeling` has run, comparison included, and what the terminal showed."""
    everything = "split_tasks,extract_teacher,train_projector,sweep_students,evaluate,compare_methods"
    project = make_project(tmp_path_factory.mktemp("modeling"))
    return _run_all(project, "smoke_modeling", "--pipelines", everything)


@pytest.fixture
def project(make_project: Callable[[Path], Path], tmp_path: Path) -> Path:
    return make_project(tmp_path)


# --- a training run in miniature, on real digits

SETTINGS: dict[str, Any] = {
    "seeds": [0, 1],
    "student": {"embed_dim": 12, "depth": 2, "num_heads": 2, "mlp_ratio": 1.5},
    "start": "principal",
    "source": "frozen",
    "free_weights": True,
    "conditioning": {"experts": 3, "film": True, "task_embed_dim": 8},
    "optimisation": {
        "steps": 12,
        "tasks_per_step": 2,
        "images_per_task": 8,
        "weight_decay": 0.01,
        "warmup_fraction": 0.1,
        "gradient_clip": 1.0,
        "ema_decay": 0.9,
        "distillation_weight": 0.5,
        "distillation_temperature": 2.0,
        "validate_every": 6,
        "checkpoint_every": 4,
    },
    "learning_rates": {"projected": 0.002, "static": 0.002, "universal": 0.004},
    "ray": {"address": None, "num_workers": 1, "use_gpu": False, "cpus_per_worker": 1, "max_failures": 1},
}


def settings(**changes: Any) -> TrainProjectorConfig:
    """The miniature settings; a dictionary among the changes is merged into the one it names."""
    return TrainProjectorConfig(**merged(SETTINGS, changes))


@pytest.fixture(name="settings", scope="session")
def settings_fixture() -> Any:
    return settings


@pytest.fixture(scope="session")
def run_inputs(source: Source, teacher: VisionTransformer, objective: Classification) -> RunInputs:
    digits = load_digits()
    images = (digits.images * 15).astype(np.uint8)[:500, :, :, None]
    labels = torch.tensor(digits.target[:500])
    train, validation = torch.arange(300), torch.arange(300, 400)
    with torch.no_grad():
        logits = teacher(objective.encode(images))
    identity = torch.eye(2, 3).expand(1, 300, 2, 3)
    return RunInputs(
        config=settings(),
        objective=objective,
        source=source,
        logits=TeacherLogits(
            train_logits=logits[None, :300],
            train_affine=identity,
            test_class_scores=logits[400:],
            image_ids={"train": train, "validation": validation, "test": torch.arange(400, 500)},
        ),
        labels=labels,
        train_tasks=[[0, 1], [2, 3, 4], [1, 5, 6]],
        validation_tasks=[[0, 5], [3, 6]],
        images=images,
        images_sha256="digits",
    )


# --- the order of tests

MINUTES = ("end_to_end", "training", "commands/test_timmx.py", "test_dvc.py", "test_docs.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take minutes, so that no worker waits for another at the end."""
    here = Path(__file__).parent
    items.sort(key=lambda item: not any(item.path.is_relative_to(here / name) for name in MINUTES))
