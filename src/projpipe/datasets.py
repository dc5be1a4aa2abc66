"""How each kind of file of the catalog is read and written.

Every save is whole or not at all, nothing is ever unpickled, and equal data gives equal bytes. What cannot be read is
named in the error. Modules that are slow to import are imported where they are used.
"""

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import HTMLPreview, JSONPreview, PlotlyPreview, TablePreview

from projpipe.atomic import write_atomically
from projpipe.errors import InputError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from timm.models.vision_transformer import VisionTransformer
    from torch import Tensor

    from projpipe.images.streamed import Images
    from projpipe.objectives.teacher_logits import TeacherLogits
    from projpipe.projection.projector import Projector

T = TypeVar("T")


class DamagedFileError(DatasetError, InputError):
    """A file or folder of the catalog is there, but is truncated or not what its name says."""


class PathDataset(AbstractDataset[T, T], Generic[T]):
    """A file or folder at `filepath`; children say how to read and write it."""

    def __init__(self, *, filepath: str, metadata: object = None) -> None:
        """`metadata` is for Kedro-Viz: the layer of the data set and how it is previewed."""
        self.filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> T:
        """Read it.

        Raises:
            DatasetError: it is not there.
            DamagedFileError: it cannot be read; the message names it.
        """
        if not self.filepath.exists():
            raise DatasetError(f"{self.filepath} is missing")
        try:
            return self._read(self.filepath)
        except InputError as error:
            raise DamagedFileError(str(error)) from error
        except Exception as error:
            raise DamagedFileError(f"{self.filepath} cannot be read ({error})") from error

    def save(self, data: T) -> None:
        """Write it under a temporary name, then put it in its place."""
        with write_atomically(self.filepath) as temporary:
            self._write(data, temporary)

    def _exists(self) -> bool:
        return self.filepath.exists()

    def _describe(self) -> dict[str, str]:
        return {"filepath": str(self.filepath)}

    @abstractmethod
    def _read(self, path: Path) -> T: ...

    @abstractmethod
    def _write(self, data: T, path: Path) -> None: ...


class ImagesDataset(PathDataset["Images"]):
    """Images as a folder: packed in `images.npy`, or, where they are streamed, listed in `images.json`."""

    def _read(self, path: Path) -> "Images":
        from projpipe.images.stored import images_file, read_images

        file = images_file(path)
        try:
            return read_images(file)
        except (EOFError, OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{file} cannot be read ({error})") from error

    def _write(self, data: "Images", path: Path) -> None:
        from projpipe.images.stored import write_images

        path.mkdir()
        write_images(data, path)


class TableDataset(PathDataset[pd.DataFrame]):
    """A table as parquet, with page checksums. The catalog's `validator:` holds it to its schema."""

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path, engine="pyarrow", page_checksum_verification=True)

    def _write(self, data: pd.DataFrame, path: Path) -> None:
        data.to_parquet(path, engine="pyarrow", index=False, write_page_checksum=True)

    def preview(self, nrows: int = 10) -> TablePreview:
        """The first rows, for Kedro-Viz, without columns of lists of lists, which are long."""
        table = self.load().head(nrows)
        nested = [name for name, column in table.items() if column.map(_holds_lists).any()]
        return TablePreview(json.loads(table.drop(columns=nested).to_json(orient="split", index=False)))


def _holds_lists(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


class JSONDataset(PathDataset[Any]):
    """JSON with its keys in the order they were given."""

    def _read(self, path: Path) -> Any:
        return _read_json(path)

    def _write(self, data: Any, path: Path) -> None:
        _write_json(data, path)

    def preview(self) -> JSONPreview:
        """The content, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load()))


class Record(Protocol):
    """An object that JSON describes, such as a card or an objective."""

    def to_json(self) -> Mapping[str, object]:
        """JSON values that describe it."""


class RecordDataset(PathDataset[Record]):
    """JSON with an object in front of it: what is loaded is the object, what is saved its `to_json`."""

    def __init__(self, *, from_json: str, filepath: str, metadata: object = None) -> None:
        """`from_json` is the dotted name of what makes the object of JSON values; `metadata` is for Kedro-Viz."""
        super().__init__(filepath=filepath, metadata=metadata)
        self.from_json = from_json

    def _read(self, path: Path) -> Record:
        described = _read_json(path)
        try:
            return resolve_name(self.from_json)(described)
        except InputError as error:
            raise InputError(f"{path} cannot be read ({error})") from error

    def _write(self, data: Record, path: Path) -> None:
        _write_json(data.to_json(), path)

    def preview(self) -> JSONPreview:
        """The content, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().to_json()))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(data: Any, path: Path) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


class TextDataset(PathDataset[str]):
    """Text in UTF-8."""

    def _read(self, path: Path) -> str:
        return path.read_text(encoding="utf-8")

    def _write(self, data: str, path: Path) -> None:
        path.write_text(data, encoding="utf-8")


class ReportDataset(TextDataset):
    """A page of HTML."""

    def preview(self) -> HTMLPreview:
        """Its words, tables and pictures, for Kedro-Viz, which runs no scripts and has a style of its own."""
        return HTMLPreview(re.sub(r"<(head|script|figure)\b.*?</\1>", "", self.load(), flags=re.DOTALL))


class PlotlyDataset(PathDataset["Figure"]):
    """A plotly figure as JSON."""

    def _read(self, path: Path) -> "Figure":
        from plotly.io import from_json

        return from_json(path.read_text(encoding="utf-8"))

    def _write(self, data: "Figure", path: Path) -> None:
        from plotly.io import to_json

        # The engine is named because bytes would otherwise depend on whether orjson is installed.
        path.write_text(to_json(data, engine="json") + "\n", encoding="utf-8")

    def preview(self) -> PlotlyPreview:
        """The figure, for Kedro-Viz."""
        return PlotlyPreview(json.loads(self.filepath.read_text(encoding="utf-8")))


class SafetensorsDataset(PathDataset["dict[str, Tensor]"]):
    """Tensors by name, without metadata."""

    def _read(self, path: Path) -> "dict[str, Tensor]":
        return _read_tensors(path)

    def _write(self, data: "dict[str, Tensor]", path: Path) -> None:
        _write_tensors(data, path)


class TeacherLogitsDataset(PathDataset["TeacherLogits"]):
    """What a teacher says, as tensors by name."""

    def _read(self, path: Path) -> "TeacherLogits":
        from projpipe.objectives.teacher_logits import TeacherLogits

        tensors = _read_tensors(path)
        try:
            return TeacherLogits.from_tensors(tensors)
        except InputError as error:
            raise InputError(f"{path} cannot be read ({error})") from error

    def _write(self, data: "TeacherLogits", path: Path) -> None:
        _write_tensors(data.to_tensors(), path)


def _read_tensors(path: Path) -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    return load_file(path)


def _write_tensors(tensors: "dict[str, Tensor]", path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


class TimmModelDataset(PathDataset["VisionTransformer"]):
    """A timm model as a folder that `timm.create_model("local-dir:FOLDER")` reads."""

    def _read(self, path: Path) -> "VisionTransformer":
        from projpipe.transformer.timm_folder import load_timm_folder

        return load_timm_folder(path)

    def _write(self, data: "VisionTransformer", path: Path) -> None:
        from projpipe.transformer.timm_folder import save_timm_folder

        save_timm_folder(data, path)


class ProjectorDataset(PathDataset["Projector"]):
    """A trained projector as a folder."""

    def _read(self, path: Path) -> "Projector":
        from projpipe.projection.projector_folder import load_projector

        return load_projector(path)

    def _write(self, data: "Projector", path: Path) -> None:
        data.save(path)


class FolderDataset(AbstractDataset[None, Path]):
    """A folder that nodes keep working files in. Loading makes it where it is not there and gives its path."""

    def __init__(self, *, filepath: str, metadata: object = None) -> None:
        """`metadata` is for Kedro-Viz."""
        self.filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """The folder's path."""
        self.filepath.mkdir(parents=True, exist_ok=True)
        return self.filepath

    def save(self, data: None) -> None:
        """Refused: nodes write into the folder themselves."""
        raise DatasetError(f"{self.filepath} is a folder that nodes write into; it is no node's output")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, str]:
        return {"filepath": str(self.filepath)}
