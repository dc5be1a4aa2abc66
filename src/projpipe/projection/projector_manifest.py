"""What the manifest of a projector's folder says: read without torch, which alone takes seconds to import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from unicodedata import normalize

from projpipe.errors import InputError, did_you_mean
from projpipe.manifest import FIXES, MANIFEST, REQUIRED, TENSORS, read_manifest
from projpipe.record import Bounds, from_json, read_json
from projpipe.transformer.spec import Size, TransformerSpec

if TYPE_CHECKING:
    from projpipe.transformer.sizes import Sizes


@dataclass(frozen=True)
class DescribedData:
    """What a manifest says of the data."""

    classes: Annotated[Sequence[str], Bounds(1, 2**16)]
    name: str | None = None
    groups: Sequence[str] = ()
    inverted: bool = False
    image_size: tuple[Size, Size] | None = None
    channels: Size | None = None
    held_out_classes: Sequence[str] = ()


@dataclass(frozen=True)
class DescribedProjector:
    """What a manifest describes; an `object` is what a class elsewhere reads of JSON."""

    source: object
    student: object
    conditioning: object
    free_weights: bool
    objective: object
    data: DescribedData
    provenance: object
    class_map: bool = False
    smallest: object = None
    compact: bool = False

    @property
    def fewest_classes(self) -> int:
        """Of a model: what draws images draws them of one class or more, what tells classes apart has two."""
        return 1 if self.draws else 2

    @property
    def draws(self) -> bool:
        """Whether its models draw images; else they tell classes apart."""
        return bool(TransformerSpec.from_json(self.source, "source").symbols)

    def check_classifies(self, option: str) -> None:
        """Refuse an option that is for classifiers, where models draw images."""
        if self.draws:
            raise InputError(f"{option}: is for classifiers, and this projector makes image models; leave it out")

    @property
    def sizes(self) -> tuple[TransformerSpec, Sizes | None]:
        """The largest size of its students, and all that there are; None where it is the only one."""
        largest = TransformerSpec.from_json(self.student, "student")
        if self.smallest is None:
            return largest, None
        smallest = TransformerSpec.from_json(self.smallest, "smallest")
        if smallest.embed_dim % smallest.num_heads or smallest != largest.resized(
            smallest.embed_dim, smallest.depth, smallest.num_heads, smallest.mlp_dim
        ):
            raise InputError("smallest: is no size of the student")
        from projpipe.transformer.sizes import Sizes  # numpy is for who needs it

        return largest, Sizes(smallest, largest)


def read_projector_manifest(folder: Path) -> DescribedProjector:
    """What the manifest of a projector's folder says, when no file of the folder was changed; not whether it fits them.

    Raises:
        InputError: the folder is no projector, or was changed or damaged.
    """
    described = read_manifest(folder, "projector", REQUIRED["projector"], FIXES["projector"])
    try:
        return from_json(DescribedProjector, described, exact=True)
    except InputError as error:
        raise InputError(f"{folder / MANIFEST}: {error}; {FIXES['projector']}") from error


def weights_sha256(folder: Path) -> str:
    """The checksum of a projector's weights, as the manifest of its folder has it."""
    return str(read_json(folder / MANIFEST)["sha256"][TENSORS])


def find_classes(known: Sequence[str], asked: Sequence[str], fewest: int) -> list[int]:
    """Positions of class names among those that are known.

    Raises:
        InputError: a name is unknown or stands there twice, or there are fewer than `fewest`.
    """
    if isinstance(asked, str):
        raise InputError(f"classes: {asked!r} is one name; give a list such as {list(known[:2])}")
    positions = {normalize("NFC", name): position for position, name in enumerate(known)}
    asked = [normalize("NFC", name) if isinstance(name, str) else name for name in asked]
    for name in asked:
        if name not in positions:
            raise InputError(f"classes: {name!r} is not a class of this projector; {_nearest(name, list(positions))}")
    if len(asked) < fewest:
        least = "two or more; add what to tell apart" if fewest > 1 else "at least one; name it"
        raise InputError(f"classes: {asked} must be {least}")
    if repeated := [name for name, count in Counter(asked).items() if count > 1]:
        raise InputError(f"classes: {min(repeated)!r} stands there twice; name it once")
    return [positions[name] for name in asked]


def classes_of_group(classes: Sequence[str], groups: Sequence[str], name: str) -> list[str]:
    """The classes of a group, where `groups` holds that of each class.

    Raises:
        InputError: there is no such group; names the nearest ones.
    """
    members = [one for one, group in zip(classes, groups, strict=False) if group == name != ""]
    if not members:
        raise InputError(
            f"group: {name!r} is not a group of this projector; {_nearest(name, sorted({*groups} - {''}))}"
        )
    return members


def _nearest(name: object, known: Sequence[str]) -> str:
    return did_you_mean(name, known, otherwise=f"known: {', '.join(known[:10]) or 'none'}", count=3)
