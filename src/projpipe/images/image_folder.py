"""Anyone's own images: `<root>/<class>/*` or `<root>/<group>/<class>/*`, or these in a folder for each split."""

import csv
import os
from pathlib import Path

from projpipe.config import ImageFolderSource
from projpipe.errors import InputError, did_you_mean
from projpipe.images.decode import image_extensions, read_file
from projpipe.images.packing import pack, stream
from projpipe.images.raw import RawImages
from projpipe.record import regular_file

PLACE = "split_tasks.source"
FORMS = "<class>/<image> or <group>/<class>/<image>"
GIVE = f"give a folder of images as {FORMS}"


def read_image_folder(source: ImageFolderSource, project: Path) -> RawImages:
    """Images of all files with an extension that Pillow reads, uint8 `[N, image_size, image_size, 1 if grey else 3]`.

    They are packed into memory, or streamed: only listed. Images two folders deep give classes without groups, unless a
    table says their groups; three deep, classes named `<group>/<class>`. Hidden files and folders, and files of other
    kinds, are passed over.

    Args:
        project: where relative paths start.

    Raises:
        InputError: a folder is missing or holds no image, images lie at different depths, or the table of groups does
            not fit the classes.
    """
    root = project / Path(source.root).expanduser()
    if not root.is_dir():
        get = f"get the images with `{source.get_with}`" if source.get_with else GIVE
        raise InputError(f"{PLACE}.root: there is no folder {root}; {get}")
    folders = source.split_folders.named if source.split_folders else {"train": ""}
    labels: list[tuple[str, str]] = []
    names: list[str] = []
    splits: list[str] = []
    for split, folder in folders.items():
        if not (root / folder).is_dir():
            there = sorted(path.name for path in root.iterdir() if path.is_dir())
            hint = did_you_mean(folder, there, otherwise=f"{root} has {', '.join(there[:10]) or 'none'}")
            raise InputError(f"{PLACE}.split_folders.{split}: there is no folder {root / folder}; {hint}")
        paths = _laid_out(root / folder)
        labels += [("" if len(path.parts) == 2 else path.parts[0], path.parent.as_posix()) for path in paths]
        names += [(folder / path).as_posix() for path in paths]
        splits += len(paths) * [split]
    if source.groups is not None:
        labels = _with_groups(labels, project / Path(source.groups).expanduser())
    official = splits if source.split_folders else None
    if source.storage == "streamed":
        return stream(root, names, labels, source.image_size, source.grey, official)
    return pack(names, lambda name: read_file(root / name), labels, source.image_size, source.grey, splits=official)


def _laid_out(root: Path) -> list[Path]:
    """Paths of all images below a folder, relative to it, sorted and all as deep as classes, or classes in groups."""
    paths = _image_paths(root)
    if not paths:
        raise InputError(f"{PLACE}.root: {root} holds no image that Pillow reads; {GIVE}")
    depth = len(paths[0].parts)
    if odd := next((path for path in paths if len(path.parts) != depth), None):
        raise InputError(
            f"{PLACE}.root: in {root}, {paths[0]} and {odd} lie at different depths; put all images as "
            "<class>/<image>, or all as <group>/<class>/<image>"
        )
    if depth not in (2, 3):
        raise InputError(f"{PLACE}.root: in {root}, {paths[0]} is not laid out as {FORMS}; move the images so")
    return paths


def _image_paths(root: Path) -> list[Path]:
    """Paths of all images below `root`, relative to it, sorted; InputError on a folder with no image below it."""
    paths: list[Path] = []
    folders: list[Path] = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        here = Path(folder).relative_to(root)
        # Links may make a circle; nothing below the deepest level is wanted anyway, save to complain of it.
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and len(here.parts) < 3]
        folders += [here / name for name in subfolders]
        paths += [here / n for n in files if not n.startswith(".") and Path(n).suffix.lower() in image_extensions()]
    with_images = {parent for path in paths for parent in path.parents}
    if paths and (empty := sorted(folder for folder in folders if folder not in with_images)):
        named = root / empty[0]
        raise InputError(f"{PLACE}.root: the folder {named} holds no image that Pillow reads; fill or remove it")
    return sorted(paths)


def _with_groups(labels: list[tuple[str, str]], table: Path) -> list[tuple[str, str]]:
    """The (group, class) of each image, with the groups of a CSV file."""
    place, classes = f"{PLACE}.groups", {name for _, name in labels}
    if any(group for group, _ in labels):
        raise InputError(f"{place}: classes lie in folders of groups already; leave out the table, or move the folders")
    groups = _read_groups(table, place)
    if missing := sorted(classes - groups.keys()):
        raise InputError(f"{place}: {table} says no group of the class {missing[0]!r}; add a line for it")
    if unknown := sorted(groups.keys() - classes):
        hint = did_you_mean(unknown[0], classes, otherwise="remove its line, or add its images")
        raise InputError(f"{place}: {table} has a class {unknown[0]!r}, of which there is no folder; {hint}")
    return [(groups[name], name) for _, name in labels]


def _read_groups(table: Path, place: str) -> dict[str, str]:
    """The group of each class out of a CSV file with the columns `class` and `group`."""
    try:
        with regular_file(table).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns, rows = reader.fieldnames or (), [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{place}: {table} cannot be read ({reason}); give a CSV file of class,group") from error
    if sorted(columns) != ["class", "group"]:
        raise InputError(f"{place}: {table} has not the columns class and group alone; begin it with class,group")
    groups: dict[str, str] = {}
    for number, row in rows:
        name, group = ((row[column] or "").strip() for column in ("class", "group"))
        if not name or not group or None in row:
            raise InputError(f"{place}: {table}, line {number}, is no class and group; give lines of class,group")
        if name in groups:
            raise InputError(f"{place}: {table}, line {number}: the class {name!r} has a line already; remove one")
        groups[name] = group
    return groups
