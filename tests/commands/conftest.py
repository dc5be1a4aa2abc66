"""A projector's folder with classes that are awkward to name, and pictures of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from makers import elastic
from projpipe.commands.main import main
from projpipe.objectives import Classification
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source

CLASSES = [
    "Sneaker",
    "Bag",
    "Bags, small",
    'a "quote"',
    "<b>bold</b>",
    "Größe",
    "T-shirt",
    "Coat",
    "Greek/alpha",
    "Greek/beta",
]


@pytest.fixture(scope="session")
def projector(source: Source, objective: Classification) -> Projector:
    """A projector with every parameter off its init, trained on inverted pictures."""
    conditioning = Conditioning(experts=3, film=True, task_embed_dim=8)
    operator = ProjectionOperator(source, source.spec.student(12, 2, 2, 1.5), conditioning, seed=0)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    data = {
        "name": "shop",
        "classes": CLASSES,
        "groups": [""] * 8 + ["Greek"] * 2,
        "held_out_classes": ["Coat"],
        "inverted": True,
    }
    teacher = {
        "architecture": "vit_tiny_patch16_224",
        "arguments": {"depth": 4},
        "params": 20_314,
        "metric": "accuracy",
        "score": {"test": 0.96},
        "license": "apache-2.0",
    }
    provenance = {
        "teacher": teacher,
        "seed": 0,
        "validation_score": 0.978,
        "tuned_source": {"before": 0.96, "after": 0.957},
    }
    return Projector(operator.eval(), objective, data, provenance)


@pytest.fixture
def folder(projector: Projector, tmp_path: Path) -> Path:
    """The folder of the projector."""
    projector.save(tmp_path / "projector")
    return tmp_path / "projector"


@pytest.fixture
def many(projector: Projector, tmp_path: Path) -> Path:
    """The folder of the projector as one of many sizes, with a table of three."""
    elastic(projector).save(tmp_path / "many")
    return tmp_path / "many"


@pytest.fixture
def model(projector: Projector, tmp_path: Path) -> Path:
    """The folder of a model for three classes."""
    projector.student(["Sneaker", "Bag", "Greek/alpha"]).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """`<class>/<n>.png` of two classes of the model, one with a group, and of one that it does not know."""
    rng = np.random.default_rng(0)
    for name in ("Sneaker", "Greek/alpha", "Coat"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(rng.integers(0, 256, (11, 9, 3), dtype=np.uint8)).save(
                tmp_path / "pictures" / name / f"{number}.png"
            )
    return tmp_path / "pictures"


def projpipe(*arguments: object) -> Result:
    """Run the command with these arguments."""
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(name="projpipe")
def command() -> object:
    return projpipe
