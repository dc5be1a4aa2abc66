"""`projpipe app`: a page to play with."""

from __future__ import annotations

import click


@click.command()
@click.argument("projector", default="cifar100")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets others in.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 for any.  [default: the first free one from 7860 on]")
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Open the page in a browser.")
def app(projector: str, host: str, port: int | None, opens: bool) -> None:
    """Serve a page on which to pick classes and a size of PROJECTOR, try the model on pictures and take it along.

    PROJECTOR is the folder of a trained one, or a name as `projpipe generate` takes it; else that of CIFAR-100, which
    comes with projpipe. Needs the extra 'app'. Nothing leaves this machine.

    \b
    projpipe app cifar100
    """
    from projpipe.commands.arguments import Folder
    from projpipe.errors import InputError

    Folder("projector").convert(projector, None, None)  # refused before anything slow is imported
    try:
        from projpipe.app.server import serve
    except ImportError as error:
        raise InputError(f"app: {error.name} is not installed; `pip install 'projpipe[app]'`") from error

    def ready(address: str) -> None:
        click.echo(f"{address}  (ends with Ctrl+C)")
        if opens:
            click.launch(address)

    serve(projector, host, port, ready)
