"""A Kedro session that ends with one line, not a traceback, where a person can fix what is wrong."""

import os
from collections.abc import Iterator
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.session import KedroSession
from kedro.validation.exceptions import ParameterValidationError
from pydantic import ValidationError
from yaml import YAMLError

from projpipe import config
from projpipe.config.base import describe_problem, own_problems
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.errors import InputError, causes, did_you_mean, disk_problem
from projpipe.pipeline_registry import ORDER
from projpipe.stops import end_with_parent, ending_in_order

FIXABLE = (InputError, MissingConfigException, YAMLError)
MODELS: dict[str, type[config.Config]] = {
    "split_tasks": config.SplitTasksConfig,
    "extract_teacher": config.ExtractTeacherConfig,
    "train_projector": config.TrainProjectorConfig,
    "sweep_students": config.SweepStudentsConfig,
    "evaluate": config.EvaluateConfig,
    "compare_methods": config.CompareMethodsConfig,
}


class ReadableSession(KedroSession):
    """What `kedro run` uses, see `settings.py`."""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as Kedro does.

        Raises:
            click.ClickException: bad input of any kind; Kedro's command line shows the message alone and exits with 1.
            Stopped: a signal has told it to end.
        """
        if "DVC_STAGE" in os.environ:  # DVC, when it is told to end, leaves its commands to themselves
            end_with_parent()
        with ending_in_order():
            return self._run(*args, **kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            for name in kwargs.get("pipeline_names") or ():
                _check_pipeline(name)
            _check_sections(self._environment())
            return super().run(*args, **kwargs)
        except ParameterValidationError as error:
            raise click.ClickException("\n".join(_problems(self._environment())) or str(error)) from error
        except Exception as error:
            for cause in causes(error):
                if isinstance(cause, FIXABLE):
                    raise click.ClickException(str(cause)) from error
                if said := disk_problem(cause, self._project_path / "data"):
                    raise click.ClickException(said) from error
            raise

    def _environment(self) -> EnvironmentConfigLoader:
        loader = self._get_config_loader()
        assert isinstance(loader, EnvironmentConfigLoader)  # see settings.py
        return loader


def _check_pipeline(name: str) -> None:
    if name not in (*ORDER, "__default__"):
        hint = did_you_mean(name, ORDER, otherwise=f"there are {', '.join(ORDER)}")
        raise InputError(f"--pipelines: {name!r} is not a pipeline; {hint}")


def _check_sections(loader: EnvironmentConfigLoader) -> None:
    """Refuse parameters of no pipeline: Kedro reads those that a pipeline asks for, and no others."""
    for name in loader["parameters"]:
        if name not in MODELS:
            hint = did_you_mean(name, MODELS, otherwise=f"there are {', '.join(MODELS)}")
            raise InputError(f"{loader.origin([name])}: {name}: there is no such section of parameters; {hint}")


def _problems(loader: EnvironmentConfigLoader) -> Iterator[str]:
    """What is wrong with parameters, one line each."""
    parameters = loader["parameters"]
    for name, model in MODELS.items():
        try:
            model.model_validate(parameters.get(name, {}))
        except ValidationError as error:
            for problem in own_problems(error.errors(include_url=False)):
                place = (name, *_keys(problem["loc"], parameters.get(name, {})))
                yield f"{loader.origin(place)}: {'.'.join(map(str, place))}: {describe_problem(problem, model)}"


def _keys(loc: tuple[int | str, ...], given: Any) -> Iterator[int | str]:
    """A place among parameters as they are written: without the names of alternatives that pydantic puts in between."""
    for key in loc[:-1]:
        try:
            given = given[key]
        except (LookupError, TypeError):
            continue
        yield key
    yield from loc[-1:]
