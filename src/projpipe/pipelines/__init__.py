"""The pipelines: thin nodes that hand data sets to the floors below."""

from pathlib import Path

from kedro.utils import find_kedro_project


def project_folder() -> Path:
    """The project that a run is of: what relative paths among the parameters are relative to."""
    return find_kedro_project(Path.cwd()) or Path.cwd()
