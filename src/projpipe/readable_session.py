"""A Kedro session that ends with one line, not a traceback, where a person can mend what is wrong."""

import difflib
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.session import KedroSession
from kedro.validation.exceptions import DataValidationError, ParameterValidationError
from yaml import YAMLError

from projpipe.errors import InputError
from projpipe.pipeline_registry import ORDER

MENDABLE = (InputError, ParameterValidationError, DataValidationError, MissingConfigException, YAMLError)


class ReadableSession(KedroSession):
    """What `kedro run` uses, see `settings.py`."""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as Kedro does.

        Raises:
            click.ClickException: bad input of any kind; Kedro's command line shows the message alone and exits with 1.
        """
        try:
            for name in kwargs.get("pipeline_names") or ():
                _check_pipeline(name)
            return super().run(*args, **kwargs)
        except MENDABLE as error:
            raise click.ClickException(str(error)) from error


def _check_pipeline(name: str) -> None:
    if name not in (*ORDER, "__default__"):
        near = difflib.get_close_matches(name, ORDER, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ORDER)}"
        raise InputError(f"--pipelines: {name!r} is not a pipeline; {hint}")
