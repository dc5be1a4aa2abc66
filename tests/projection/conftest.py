"""The conditioning terms that the projection's tests go through, and a projector with all of them."""

from pathlib import Path

import pytest

from makers import make_projector
from projpipe.projection.factors import Conditioning
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source

TERMS = {
    "templates": Conditioning(templates=3, gates=False, task_embed_dim=8),
    "gates": Conditioning(templates=0, gates=True, task_embed_dim=8),
    "both": Conditioning(templates=3, gates=True, task_embed_dim=8),
    "both, with FiLM": Conditioning(templates=3, gates=True, task_embed_dim=8, film=True),
}


@pytest.fixture(params=TERMS.values(), ids=TERMS.keys())
def conditioning(request: pytest.FixtureRequest) -> Conditioning:
    """Each term by itself, and all together."""
    return request.param


@pytest.fixture
def every_term() -> Conditioning:
    return TERMS["both, with FiLM"]


@pytest.fixture
def static() -> Conditioning:
    return Conditioning(templates=0, gates=False, task_embed_dim=8)


@pytest.fixture(scope="module")
def projector(source: Source) -> Projector:
    """A projector whose every parameter is off its init."""
    return make_projector(source)


@pytest.fixture
def folder(projector: Projector, tmp_path: Path) -> Path:
    """The folder of the projector."""
    projector.save(tmp_path / "projector")
    return tmp_path / "projector"
