"""Kedro's command line, whose `run` says in one line what Kedro itself shows a traceback of."""

import copy
from typing import Any

import click
from kedro.framework.cli.project import run as run_of_kedro
from kedro.runner import AbstractRunner
from kedro.utils import load_obj

from projpipe.config_loader import UNREADABLE
from projpipe.errors import did_you_mean, one_line

RUNNERS = ("SequentialRunner", "ThreadRunner", "ParallelRunner")


@click.group()
def cli() -> None:
    """Commands that Kedro finds here, see `KedroCLI.project_groups`."""


def _runner(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """The name of a class that runs nodes, Kedro's or one of another package."""
    if name is None:
        return None
    try:
        found = load_obj(name, "kedro.runner")
    except (AttributeError, ImportError, ValueError):
        found = None
    if not (isinstance(found, type) and issubclass(found, AbstractRunner)):
        hint = did_you_mean(name, RUNNERS, otherwise=f"there are {', '.join(RUNNERS)}")
        raise click.ClickException(one_line(f"--runner: {name!r} is not a runner; {hint}"))
    return name


def _readable(option: click.Parameter) -> click.Parameter:
    """An option that is named where its value cannot be read."""
    option, read = copy.copy(option), _runner if option.name == "runner" else option.callback
    if read is None:
        return option

    def callback(context: click.Context, option: click.Parameter, value: Any) -> Any:
        try:
            return read(context, option, value)
        except (*UNREADABLE, LookupError, TypeError, ValueError) as error:
            raise click.ClickException(one_line(f"{option.opts[0]}: cannot be read ({error}); correct it")) from error

    option.callback = callback
    return option


run = click.Command(
    run_of_kedro.name,
    callback=run_of_kedro.callback,
    params=[_readable(option) for option in run_of_kedro.params],
    help=run_of_kedro.help,
)
cli.add_command(run)
