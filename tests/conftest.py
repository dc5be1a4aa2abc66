"""What several test files share: a small teacher that is quick to make, what the projection reads of it, a project."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from projpipe.projection.source import Source
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.statistics import activation_statistics


def make_teacher(**arguments: object) -> VisionTransformer:
    """A teacher of 4 blocks x 24 for grey 8x8 images of 10 classes, with nothing left at its neutral start."""
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
    return Source(TransformerSpec.of(teacher), canonical_weights(teacher), activation_statistics(teacher, [images]))


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


@pytest.fixture
def project(make_project: Callable[[Path], Path], tmp_path: Path) -> Path:
    return make_project(tmp_path)
