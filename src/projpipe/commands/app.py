"""`projpipe app`: a page to play with."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.app.listening import EVERY, LOOPBACK, PORTS, address, listen
from projpipe.commands.arguments import Folder
from projpipe.errors import InputError


@click.command(short_help="Serve a page on which to pick classes and a size.")
@click.argument("projector", type=Folder("projector", as_named=True), default="cifar100")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on; 0.0.0.0 lets others in.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"0 for any.  [default: the first free one from {PORTS.start} on]"
)
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Open the page in a browser.")
def app(projector: Path, host: str, port: int | None, opens: bool) -> None:
    """Serve a page on which to pick classes and a size of PROJECTOR, try the model on pictures and take it along.

    PROJECTOR is the folder of a trained one, or a name as `projpipe generate` takes it; else that of CIFAR-100, which
    comes with projpipe. Needs the extra 'app'. Nothing leaves this machine.

    \b
    projpipe app cifar100
    """
    with listen(host, port) as listening:

        def ready() -> None:
            click.echo(f"{address(host, listening)}  (ends with Ctrl+C)")
            if opens:
                click.launch(address(EVERY.get(host, host), listening))

        try:
            from projpipe.app.server import serve_at
        except ImportError as error:
            raise InputError(f"app: {error.name} is not installed; `pip install 'projpipe[app]'`") from error
        serve_at(listening, projector, ready)
