from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from projpipe.config import DigitsSource, ImageFolderSource, ImageSource
from projpipe.images.sources import read_source


def test_relative_paths_start_at_the_project(tmp_path: Path, fill: Callable[..., None]) -> None:
    fill(tmp_path / "data" / "pets" / "cats")
    relative = read_source(ImageFolderSource(name="image_folder", root="data/pets", image_size=4), tmp_path)
    absolute = read_source(
        ImageFolderSource(name="image_folder", root=str(tmp_path / "data/pets"), image_size=4), Path("elsewhere")
    )
    assert relative.images.shape == absolute.images.shape == (3, 4, 4, 3)


def test_digits_need_no_folder() -> None:
    assert len(read_source(DigitsSource(name="digits"), Path("nowhere")).images) == 1797


def test_an_unknown_source_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'digits', 'fashion_mnist', 'omniglot', 'image_folder'"):
        TypeAdapter(ImageSource).validate_python({"name": "cifar"})
