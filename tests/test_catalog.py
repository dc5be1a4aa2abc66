from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.validation.exceptions import DataValidationError

from makers import CONF, ENVIRONMENTS
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.pipeline_registry import ORDER
from projpipe.readable_session import MODELS
from projpipe.settings import CONFIG_LOADER_ARGS


@pytest.fixture
def catalog(project: Path) -> DataCatalog:
    with KedroSession.create(project, env="smoke") as session:
        return session.load_context().catalog


def datasets() -> list[str]:
    """Names of the data sets of all pipelines."""
    whole = sum((pipelines[name] for name in ORDER), Pipeline([]))
    return sorted(name for name in whole.datasets() if not name.startswith("param"))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_parameters_of_every_environment_are_accepted(env: str) -> None:
    parameters = EnvironmentConfigLoader(CONF, env=env, **CONFIG_LOADER_ARGS)["parameters"]
    assert list(MODELS) == list(ORDER)
    assert parameters.keys() == MODELS.keys()
    for name, model in MODELS.items():
        model.model_validate(parameters[name])


def test_the_catalog_is_the_same_for_all_environments() -> None:
    assert [file.parent.name for file in CONF.glob("*/catalog*.yml")] == ["base"]


def test_the_catalog_holds_the_data_sets_of_the_pipelines_and_no_others(catalog: DataCatalog) -> None:
    used = set(datasets())
    declared = {name for name in catalog.keys() if not name.startswith("param")}  # noqa: SIM118 - no mapping
    assert used == declared


def test_every_file_lies_in_the_data_folder_and_no_two_share_a_path(catalog: DataCatalog, project: Path) -> None:
    paths = [catalog[name].filepath for name in datasets() if not isinstance(catalog[name], MemoryDataset)]
    assert len(set(paths)) == len(paths) > 20
    assert all(path.is_relative_to(project / "data" / "smoke") for path in paths)


def test_every_table_is_checked_when_it_is_saved_and_when_it_is_loaded(catalog: DataCatalog) -> None:
    tables = [name for name, spec in catalog.validator_specs.items() if spec.on == ("load", "save")]
    named = [name for name in datasets() if type(catalog[name]).__name__ == "TableDataset"]
    assert set(tables) == set(named)
    for name in tables:
        with pytest.raises(DataValidationError, match=name):
            catalog.save(name, pd.DataFrame({"nonsense": [1]}))
        assert not catalog.exists(name)
        catalog[name].save(pd.DataFrame({"nonsense": [1]}))
        with pytest.raises(DataValidationError, match=name):
            catalog.load(name)
