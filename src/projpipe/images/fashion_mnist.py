"""Fashion-MNIST: 70,000 grey images of clothes, from four IDX files."""

from pathlib import Path

import numpy as np

from projpipe.errors import InputError
from projpipe.images.idx import read_idx
from projpipe.images.raw import RawImages

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
PARTS = ("train", "t10k")
# Where packages put the IDX files: `dpkg -L dataset-fashion-mnist` on Debian and Ubuntu.
INSTALLED = (Path("/usr/share/datasets/fashion-mnist"),)


def read_fashion_mnist(folder: Path | None, downloads: Path) -> RawImages:
    """Images [70000, 28, 28, 1] of `folder`, else of an installed package, else downloaded into `downloads`.

    The official parts, 60,000 to train on and 10,000 to test on, are put one after the other and lose their meaning:
    every class is split anew with the project's own shares and seed, as there must be validation images too.

    Raises InputError if files are missing or broken, or if there is nothing to download from.
    Source: Xiao, Rasul, Vollgraf, arXiv 1708.07747.
    """
    folder = folder or next((installed for installed in INSTALLED if installed.is_dir()), None) or _download(downloads)
    images, labels = [], []
    for part in PARTS:
        images.append(read_idx(_find(folder, f"{part}-images-idx3-ubyte"), dimensions=3))
        labels.append(read_idx(_find(folder, f"{part}-labels-idx1-ubyte"), dimensions=1))
        if len(images[-1]) != len(labels[-1]):
            raise InputError(
                f"{folder}: {len(images[-1]):,} images but {len(labels[-1]):,} labels in the part {part!r}; "
                "download it again"
            )
    if images[0].shape[1:] != images[1].shape[1:]:
        sizes = " and ".join("x".join(map(str, part.shape[1:])) for part in images)
        raise InputError(f"{folder}: the parts hold images of different sizes ({sizes}); download them again")
    class_ids = np.concatenate(labels).astype(np.int64)
    if class_ids.max(initial=0) >= len(CLASSES):
        raise InputError(
            f"{folder}: label {class_ids.max()} is above {len(CLASSES) - 1}; these are not Fashion-MNIST's"
        )
    return RawImages(np.concatenate(images)[..., None], class_ids, CLASSES, ("",) * len(CLASSES))


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise InputError(
        f"split_tasks.source.folder: {folder} holds neither {name} nor {name}.gz; give a folder with the four IDX "
        "files, or null to use Debian's package dataset-fashion-mnist or a download"
    )


def _download(downloads: Path) -> Path:
    from torchvision.datasets import FashionMNIST  # only a download needs it

    try:
        return Path(FashionMNIST(str(downloads), download=True).raw_folder)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"split_tasks.source.folder: Fashion-MNIST is not installed in {', '.join(map(str, INSTALLED))} and cannot "
            f"be downloaded into {downloads} ({reason}); run 'apt-get install dataset-fashion-mnist', or give the "
            "folder of its IDX files"
        ) from error
