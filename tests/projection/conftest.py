"""The conditioning terms that the projection's tests go through, and a projector with all of them."""

from pathlib import Path

import pytest

from makers import make_projector
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source

TERMS = {
    "experts": Conditioning(experts=3, film=False, task_embed_dim=8),
    "FiLM": Conditioning(experts=0, film=True, task_embed_dim=8),
    "both": Conditioning(experts=3, film=True, task_embed_dim=8),
}


@pytest.fixture(params=TERMS.values(), ids=TERMS.keys())
def conditioning(request: pytest.FixtureRequest) -> Conditioning:
    """Each term by itself, and all together."""
    return request.param


@pytest.fixture
def every_term() -> Conditioning:
    return TERMS["both"]


@pytest.fixture
def static() -> Conditioning:
    return Conditioning.none()


@pytest.fixture(scope="module")
def projector(source: Source) -> Projector:
    """A projector whose every parameter is off its init."""
    return make_projector(source)


@pytest.fixture
def folder(projector: Projector, tmp_path: Path) -> Path:
    """The folder of the projector."""
    projector.save(tmp_path / "projector")
    return tmp_path / "projector"
