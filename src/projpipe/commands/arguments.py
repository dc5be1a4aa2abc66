"""Arguments that commands have in common; none of them takes torch, which takes seconds to import."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from projpipe.errors import InputError
from projpipe.manifest import FIXES, unchecked_manifest
from projpipe.places import kind_at, located, names_of
from projpipe.projection.projector_manifest import DescribedData, DescribedProjector
from projpipe.record import from_json
from projpipe.students.model_manifest import check_draws

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
strict = click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be read.")
device = click.option("--device", default="cpu", show_default=True, help="Where to compute, as cuda or cuda:1.")
force = click.option("--force", is_flag=True, help="Replace the folder if projpipe wrote all of it.")


class NamedPath(click.Path):
    """A path that is not empty, which Python would take for the folder that one is in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, where it is one."""
        if not str(value).strip():
            place = self.name if param is None else param.get_error_hint(ctx).strip("'[]")
            raise InputError(f"{place}: is empty; name a file or a folder")
        return Path(str(super().convert(value, param, ctx)))  # type: ignore[arg-type]


class Folder(NamedPath):
    """What names a model or a projector, see `places.located`; what is none is refused before anything slow.

    Args:
        kind: which of the two; None for either.
        draws: of models, whether they have to draw images, or may not; None where both will do.
        as_named: give what was named instead of the folder that it leads to.
    """

    def __init__(self, kind: str | None = None, draws: bool | None = None, as_named: bool = False) -> None:
        super().__init__()
        self.kind, self.draws, self.as_named = kind, draws, as_named

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path of what is named, where there is such a folder."""
        named = super().convert(value, param, ctx)
        folder = located(named)
        kind = self.kind or kind_at(folder)
        manifest = unchecked_manifest(folder, kind, FIXES[kind])
        if self.draws is not None:
            check_draws(manifest, self.draws, folder)
        return named if self.as_named else folder

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Folders, and what is found by name."""
        names = [CompletionItem(name) for name in names_of(self.kind) if name.startswith(incomplete)]
        return [CompletionItem(incomplete, type="dir"), *names]


def complete_classes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of a projector's classes that go on with what is typed behind the last comma."""
    before, comma, begun = incomplete.rpartition(",")
    data = _data_of_projector(ctx)
    names = () if data is None else data.classes
    return [CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(begun)]


def complete_groups(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The groups of a projector's classes that go on with what is typed."""
    data = _data_of_projector(ctx)
    names = () if data is None else sorted({*data.groups} - {""})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _data_of_projector(ctx: click.Context) -> DescribedData | None:
    """What the projector that is typed says of its data; None where there is none."""
    folder = ctx.params["projector"] or Path(*ctx.args[:1])  # arguments are not parsed yet where an option is typed
    with suppress(InputError):
        return from_json(DescribedProjector, unchecked_manifest(located(folder), "projector", "")).data
    return None
