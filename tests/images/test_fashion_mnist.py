import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import FashionMNIST

from projpipe.errors import InputError
from projpipe.images import fashion_mnist
from projpipe.images.fashion_mnist import CLASSES, INSTALLED, read_fashion_mnist


def write(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", *images.shape)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(bytes((0, 0, 8, 1)) + struct.pack(">I", len(labels)) + labels.tobytes())
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of each class: two in the train part, one in the test part."""
    for part, copies in (("train", 2), ("t10k", 1)):
        labels = np.tile(np.arange(10, dtype=np.uint8), copies)
        write(tmp_path / "idx", part, np.repeat(labels, 28 * 28).reshape(-1, 28, 28), labels)
    return tmp_path / "idx"


def test_both_parts_of_a_folder_are_read_one_after_the_other(folder: Path, tmp_path: Path) -> None:
    raw = read_fashion_mnist(folder, tmp_path / "downloads")
    assert raw.images.shape == (30, 28, 28, 1)
    assert raw.class_ids.tolist() == [*range(10)] * 3
    assert np.array_equal(raw.images[:, 5, 5, 0], raw.class_ids)
    assert not (tmp_path / "downloads").exists()


@pytest.mark.skipif(
    not any(p.is_dir() for p in INSTALLED), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_the_installed_package_is_found_and_whole(tmp_path: Path) -> None:
    raw = read_fashion_mnist(None, tmp_path)
    assert raw.images.shape == (70000, 28, 28, 1)
    assert np.bincount(raw.class_ids).tolist() == [7000] * 10
    # Trousers are narrow, bags are broad: names and labels belong together.
    trouser, bag = ((raw.images[raw.class_ids == CLASSES.index(name)] > 0).mean() for name in ("Trouser", "Bag"))
    assert trouser < 0.4
    assert bag > 0.5


def test_class_names_are_those_of_torchvision() -> None:
    assert list(CLASSES) == FashionMNIST.classes


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="split_tasks.source.folder: .* neither train-images-idx3-ubyte nor .*gz; give"
    ):
        read_fashion_mnist(tmp_path, tmp_path)


def test_images_without_labels_are_refused(folder: Path) -> None:
    write(folder, "t10k", np.zeros((10, 28, 28), np.uint8), np.zeros(9, np.uint8))
    with pytest.raises(InputError, match="10 images but 9 labels in the part 't10k'"):
        read_fashion_mnist(folder, folder)


def test_parts_of_different_image_sizes_are_refused(folder: Path) -> None:
    write(folder, "t10k", np.zeros((10, 8, 8), np.uint8), np.zeros(10, np.uint8))
    with pytest.raises(InputError, match="different sizes \\(28x28 and 8x8\\)"):
        read_fashion_mnist(folder, folder)


def test_a_label_beyond_the_ten_classes_is_refused(folder: Path) -> None:
    write(folder, "t10k", np.zeros((1, 28, 28), np.uint8), np.array([10], np.uint8))
    with pytest.raises(InputError, match="label 10 is above 9"):
        read_fashion_mnist(folder, folder)


def test_a_failed_download_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "INSTALLED", (tmp_path / "nowhere",))
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(InputError, match="cannot be downloaded .*apt-get install dataset-fashion-mnist"):
        read_fashion_mnist(None, tmp_path)
