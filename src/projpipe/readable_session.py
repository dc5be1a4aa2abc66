"""A Kedro session that ends with one line, not a traceback, where a person can fix what is wrong."""

from collections.abc import Iterator
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from kedro.validation.exceptions import ParameterValidationError
from pydantic import ValidationError
from yaml import YAMLError

from projpipe import config
from projpipe.config.base import describe_problem, own_problems
from projpipe.config_loader import EnvironmentConfigLoader
from projpipe.errors import InputError, causes, did_you_mean, disk_problem, one_line
from projpipe.pipeline_registry import ORDER
from projpipe.stops import ending_in_order

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

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> KedroSession:
        """Make one as Kedro does, which takes the default environment for a name that is empty.

        Raises:
            click.ClickException: the name is empty.
        """
        if kwargs.get("env") == "":
            raise click.ClickException("--env: is empty; name an environment, or leave it out")
        return super().create(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as Kedro does.

        Raises:
            click.ClickException: bad input of any kind; Kedro's command line shows the message alone and exits with 1.
            Stopped: a signal has told it to end.
        """
        with ending_in_order():
            try:
                for name in kwargs.get("pipeline_names") or ():
                    _check_pipeline(name)
                _check_parameters(self._environment())
                _check_selection(**kwargs)
                return super().run(*args, **kwargs)
            except ParameterValidationError as error:
                lines = [line for _, _, line in _problems(self._environment())]
                raise click.ClickException("\n".join(lines) or str(error)) from error
            except Exception as error:
                for cause in causes(error):
                    if isinstance(cause, FIXABLE):
                        raise click.ClickException(one_line(str(cause))) from error
                    if said := disk_problem(cause, self._project_path / "data" / self._environment().environment):
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


def _check_selection(**asked: Any) -> None:
    """Refuse a part of pipelines that there is not: an unknown node, tag or data set, or none that is all of it.

    Args:
        asked: what `KedroSession.run` is given.
    """
    if asked.get("load_versions"):
        raise InputError("--load-versions: data sets of this project have no versions; leave it out")
    names = asked.get("pipeline_names")
    pipelines.set_requested(names or None)  # else all are imported
    whole = sum((pipelines[name] for name in names or ["__default__"]), Pipeline([]))
    nodes, datasets = [node.name for node in whole.nodes], sorted(whole.datasets())
    tags = sorted({tag for node in whole.nodes for tag in node.tags})
    known = {
        "tags": ("--tags", tags, "tag"),
        "node_names": ("--nodes", nodes, "node"),
        "from_nodes": ("--from-nodes", nodes, "node"),
        "to_nodes": ("--to-nodes", nodes, "node"),
        "from_inputs": ("--from-inputs", datasets, "data set"),
        "to_outputs": ("--to-outputs", datasets, "data set"),
        "namespaces": ("--namespaces", sorted({str(node.namespace) for node in whole.nodes}), "namespace"),
    }
    given = {key: tuple(asked.get(key) or ()) for key in known}
    for key, (option, there, kind) in known.items():
        for name in given[key]:
            if name not in there:
                hint = did_you_mean(name, there, otherwise=f"there are {', '.join(there[:10])}")
                raise InputError(f"{option}: {name!r} is no {kind} of the pipelines that are run; {hint}")
    try:
        whole.filter(node_namespaces=given.pop("namespaces") or None, **given)
    except ValueError as error:
        options = ", ".join(known[key][0] for key in known if asked.get(key))
        raise InputError(f"{options}: no node is all that is asked for; ask for less") from error


def _check_parameters(loader: EnvironmentConfigLoader) -> None:
    """Refuse parameters that no pipeline has: Kedro looks at those that a run asks for, and at no others."""
    for name in loader["parameters"]:
        if name not in MODELS:
            hint = did_you_mean(name, MODELS, otherwise=f"there are {', '.join(MODELS)}")
            raise InputError(f"{loader.origin([name])}: {name}: there is no such section of parameters; {hint}")
    problems = list(_problems(loader))
    if misspelt := {section for section, kind, _ in problems if kind == "extra_forbidden"}:
        raise click.ClickException("\n".join(line for section, _, line in problems if section in misspelt))


def _problems(loader: EnvironmentConfigLoader) -> Iterator[tuple[str, str, str]]:
    """What is wrong with parameters: in which section, pydantic's word for it, and one line."""
    parameters = loader["parameters"]
    for name, model in MODELS.items():
        try:
            model.model_validate(parameters.get(name, {}))
        except ValidationError as error:
            for problem in own_problems(error.errors(include_url=False)):
                place = (name, *_keys(problem["loc"], parameters.get(name, {})))
                line = f"{loader.origin(place)}: {'.'.join(map(str, place))}: {describe_problem(problem, model)}"
                yield name, problem["type"], one_line(line)


def _keys(loc: tuple[int | str, ...], given: Any) -> Iterator[int | str]:
    """A place among parameters as they are written: without the names of alternatives that pydantic puts in between."""
    for key in loc[:-1]:
        try:
            given = given[key]
        except (LookupError, TypeError):
            continue
        yield key
    yield from loc[-1:]
