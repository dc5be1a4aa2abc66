"""`projpipe list`: which projectors and models there are to use without a path."""

from __future__ import annotations

import click

from projpipe.commands.arguments import as_json


@click.command("list", short_help="Name the projectors and models that are found.")
@as_json
def list_found(as_json: bool) -> None:
    """Name the projectors that come with projpipe, and those in ~/.cache/projpipe and in the Hugging Face hub's cache.

    \b
    projpipe list --json
    """
    from dataclasses import asdict

    from projpipe.commands.output import show
    from projpipe.places import everything

    found = everything()
    if not found and not as_json:
        click.echo("None: none comes with this copy of projpipe, and none is in ~/.cache/projpipe or the hub's cache.")
        return
    rows = [["name", "kind", "data", "classes", "MB", "where"]]
    for one in found:
        data, megabytes = one.dataset or "", f"{one.bytes / 1e6:.1f}"
        rows.append([one.name, one.kind, data, str(one.classes), megabytes, one.place])
    show([asdict(one) for one in found], as_json, rows)
