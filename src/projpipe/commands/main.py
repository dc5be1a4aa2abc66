"""The command `projpipe`, how it refuses bad input, and what it says of a fault of its own."""

import io
import os
import sys
from contextlib import suppress

import click
from click.exceptions import Exit

from projpipe.commands.app import app
from projpipe.commands.compare import compare
from projpipe.commands.evaluate import evaluate
from projpipe.commands.finetune import finetune
from projpipe.commands.generate import generate
from projpipe.commands.inspect import inspect
from projpipe.commands.list import list_found
from projpipe.commands.measure import measure
from projpipe.commands.pack import pack
from projpipe.commands.predict import predict
from projpipe.commands.push import push
from projpipe.commands.sample import sample
from projpipe.errors import InputError, one_line
from projpipe.stops import ending_in_order

DEBUG = "PROJPIPE_DEBUG"  # in the environment: show the traceback of a fault
CLOSED_PIPE = 141  # 128 + SIGPIPE: the code that shells give to other programs whose output nobody reads any more


class Refusal(click.ClickException):
    """Bad input, as one line on standard error."""

    exit_code = 2


class Commands(click.Group):
    """Commands whose messages are short.

    An `InputError` ends the program with its message and exit code 2. Any other error is a fault of projpipe, and ends
    it with one line and exit code 1.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what a terminal cannot show is written in ASCII."""
        if not sys.stderr.isatty():
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            with ending_in_order():
                return super().invoke(ctx)
        except InputError as error:
            raise Refusal(str(error)) from error
        except click.UsageError as error:
            raise click.UsageError(one_line(error.format_message()), error.ctx) from error
        except (click.ClickException, click.Abort, Exit):
            raise  # nobody's fault
        except BrokenPipeError as error:
            with suppress(OSError):  # it is no file
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
            raise Exit(CLOSED_PIPE) from error
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            found = f"{type(error).__name__}: {error}"
            fix = f"please report it, with the traceback that {DEBUG}=1 shows"
            raise click.ClickException(one_line(f"this is a fault of projpipe ({found}); {fix}")) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="projpipe")
def main() -> None:
    """Small Vision Transformers for any task, in one shot, out of a trained projector.

    \b
    projpipe generate cifar100 --classes lion,tiger,wolf --out model
    projpipe predict model image.png

    The exit code is 0, 2 for what you can mend, and 1 for a fault of projpipe.
    """


COMMANDS = (app, compare, evaluate, finetune, generate, inspect, list_found, measure, pack, predict, push, sample)
for command in COMMANDS:
    main.add_command(command)
