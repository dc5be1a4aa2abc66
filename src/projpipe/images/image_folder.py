"""Anyone's own images: `<root>/<class>/*` or `<root>/<group>/<class>/*`."""

import os
from pathlib import Path

from projpipe.errors import InputError
from projpipe.images.decode import image_extensions
from projpipe.images.packing import pack, stream
from projpipe.images.raw import RawImages

PLACE = "split_tasks.source.root"
FORMS = "<class>/<image> or <group>/<class>/<image>"


def read_image_folder(root: Path, image_size: int, grey: bool, streamed: bool = False) -> RawImages:
    """Images [N, image_size, image_size, 1 if grey else 3] of all files with an extension that Pillow reads.

    They are packed into memory, or `streamed`: only listed.

    Images two folders deep give classes without groups; three deep, classes named `<group>/<class>`. Hidden files and
    folders, and files of other kinds, are passed over.

    Raises InputError if `root` is no folder or holds no image, a folder in it holds no image, or images lie at
    different depths.
    """
    if not root.is_dir():
        raise InputError(f"{PLACE}: there is no folder {root}; give a folder of images as {FORMS}")
    paths = _image_paths(root)
    if not paths:
        raise InputError(f"{PLACE}: {root} holds no image that Pillow reads; give a folder of images as {FORMS}")
    depth = len(paths[0].parts)
    if odd := next((path for path in paths if len(path.parts) != depth), None):
        raise InputError(
            f"{PLACE}: in {root}, {paths[0]} and {odd} lie at different depths; put all images as <class>/<image>, "
            "or all as <group>/<class>/<image>"
        )
    if depth not in (2, 3):
        raise InputError(f"{PLACE}: in {root}, {paths[0]} is not laid out as {FORMS}; move the images so")
    labels = [("" if depth == 2 else path.parts[0], path.parent.as_posix()) for path in paths]
    names = [path.as_posix() for path in paths]
    if streamed:
        return stream(root, names, labels, image_size, grey)
    return pack(names, lambda name: (root / name).read_bytes(), labels, image_size, grey)


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
        raise InputError(f"{PLACE}: the folder {root / empty[0]} holds no image that Pillow reads; fill or remove it")
    return sorted(paths)
