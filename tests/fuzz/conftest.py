"""How many cases each property here is tried with: the environment variable CASES, and the same ones each time."""

import os
from collections.abc import Generator

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("CASES", "50")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Tests take the profile that is loaded while their file is imported; those of other folders keep theirs."""
    hypothesis.settings.load_profile("fuzz")
    try:
        return (yield)
    finally:
        hypothesis.settings.load_profile("projpipe")
