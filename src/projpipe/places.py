"""Where projectors and models are: in folders, under names of those that ship or are kept at home, on the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from projpipe.errors import InputError, did_you_mean
from projpipe.hub import HUB, fetch
from projpipe.manifest import KNOWN, MANIFEST, TENSORS, files_of, kind_of
from projpipe.record import from_json, read_json


def search_path() -> dict[str, Path]:
    """Folders whose own folders are found by name, the first first, and what each is called."""
    return {
        "comes with projpipe": Path(__file__).with_name("shipped"),
        "kept at home": Path.home() / ".cache" / "projpipe",
    }


def located(place: Path | str) -> Path:
    """The folder of what a person names: a path, `hf-hub:owner/name`, or a name among those of `search_path`.

    A path that is there wins: a folder of one's own is never passed over.

    Raises:
        InputError: a bare name that is none, or is that of a folder without a manifest as well; or what the hub does
            not give.
    """
    path, named = Path(place), str(place)
    known = {folder.name: folder for folder in reversed(_named())}
    if path.exists() or path.is_symlink():
        if named in known and kind_of(path) is None:
            raise InputError(
                f"{named}: is the name of a projector, and here that of a folder with no {MANIFEST} that can be read; "
                "rename the folder, or work in another one"
            )
        return path
    if named.startswith(HUB):
        return fetch(named)
    if named != path.name or not named:
        return path
    if named not in known:
        mend = did_you_mean(named, known, "`projpipe list` names those that are found")
        raise InputError(f"{named}: there is no such folder, and no projector of this name; {mend}")
    return known[named]


def kind_at(folder: Path) -> str:
    """What a folder is taken for: `projector` where anything speaks for it, else `model`."""
    return "projector" if kind_of(folder) == "projector" or (folder / TENSORS).exists() else "model"


def names_of(kind: str | None) -> list[str]:
    """What is found by name, of a kind or of any."""
    return sorted({folder.name for folder in _named() if kind in (None, kind_of(folder))})


@dataclass(frozen=True)
class Found:
    """A projector or model that was found.

    Args:
        name: what to give to a command.
        place: what kind of place it is in.
        kind: `projector` or `model`.
        dataset: the name of its data.
        classes: how many it knows.
        bytes: of all its files.
        folder: where it is.
    """

    name: str
    place: str
    kind: str
    dataset: str | None
    classes: int
    bytes: int
    folder: str


def everything() -> list[Found]:
    """All that is found by name, and in the hub's cache; what says nothing of itself that can be read is left out."""
    found = [
        _found(folder.name, place, folder) for place, parent in search_path().items() for folder in _folders(parent)
    ]
    found += [_found(name, "in the hub's cache", folder) for name, folder in _of_hub()]
    return [one for one in found if one is not None]


def _named() -> list[Path]:
    return [folder for parent in search_path().values() for folder in _folders(parent)]


def _folders(parent: Path) -> list[Path]:
    return sorted(path.parent for path in parent.glob(f"[!.]*/{MANIFEST}"))


def _of_hub() -> Iterator[tuple[str, Path]]:
    """Folders in the hub's cache, by what names them."""
    from huggingface_hub import constants

    for manifest in sorted(Path(constants.HF_HUB_CACHE).glob(f"models--*/snapshots/*/{MANIFEST}")):
        folder = manifest.parent
        repository = folder.parents[1]
        main = repository / "refs" / constants.DEFAULT_REVISION
        newest = main.is_file() and main.read_text().strip() == folder.name
        name = repository.name.removeprefix("models--").replace("--", "/")
        yield f"{HUB}{name}" + ("" if newest else f"@{folder.name}"), folder


@dataclass(frozen=True)
class _Data:
    """What a manifest says of the data."""

    classes: Sequence[str]
    name: str | None = None


def _found(name: str, place: str, folder: Path) -> Found | None:
    kind = kind_of(folder)
    if kind not in KNOWN:
        return None
    try:
        manifest = read_json(folder / MANIFEST)
        data = from_json(_Data, _data_of(kind, manifest))
    except (InputError, OSError, ValueError):
        return None
    size = sum(path.stat().st_size for path in files_of(folder, kind))
    return Found(name, place, kind, data.name, len(data.classes), size, str(folder))


def _data_of(kind: str, manifest: dict[str, object]) -> object:
    if kind == "projector":
        return manifest.get("data")
    provenance = manifest.get("provenance")
    name = provenance.get("dataset") if isinstance(provenance, dict) else None
    return {"classes": manifest.get("classes"), "name": name}
