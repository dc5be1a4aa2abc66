"""Arguments that commands have in common; none of them takes torch, which takes seconds to import."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from projpipe.errors import InputError
from projpipe.manifest import FIXES, unchecked_manifest
from projpipe.places import located
from projpipe.projection.projector_manifest import DescribedProjector
from projpipe.record import from_json

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
strict = click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be read.")
device = click.option("--device", default="cpu", show_default=True, help="Where to compute, as cuda or cuda:1.")
force = click.option("--force", is_flag=True, help="Replace the folder if projpipe wrote all of it.")


class Folder(click.Path):
    """What names a model or a projector, as `kind` says, see `places.located`; another is refused before imports."""

    def __init__(self, kind: str) -> None:
        super().__init__(path_type=Path)
        self.kind = kind

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path of what is named, where there is such a folder."""
        folder = located(Path(str(super().convert(value, param, ctx))))  # type: ignore[arg-type]
        unchecked_manifest(folder, self.kind, FIXES[self.kind])
        return folder


def complete_classes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of a projector's classes that go on with what is typed behind the last comma."""
    before, comma, begun = incomplete.rpartition(",")
    names: list[str] = []
    folder = ctx.params["projector"] or Path(*ctx.args[:1])  # arguments are not parsed yet where an option is typed
    with suppress(InputError):
        manifest = unchecked_manifest(located(folder), "projector", "")
        names = list(from_json(DescribedProjector, manifest).data.classes)
    return [CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(begun)]
