"""From the parameters of a source to its images."""

from pathlib import Path

from projpipe.config import DigitsSource, FashionMnistSource, ImageSource, OmniglotSource
from projpipe.images.digits import read_digits
from projpipe.images.fashion_mnist import read_fashion_mnist
from projpipe.images.image_folder import read_image_folder
from projpipe.images.omniglot import read_omniglot
from projpipe.images.raw import RawImages

DOWNLOADS = Path("data/01_raw")


def read_source(source: ImageSource, project: Path) -> RawImages:
    """Read all images of a source, in a fixed order: into memory, but for those that are to be streamed.

    Relative paths in `source` start at the folder `project`, and downloads go to its `data/01_raw`.
    Raises InputError on images that are missing, broken, or not laid out as the source expects.
    """

    def in_project(path: str) -> Path:
        return project / Path(path).expanduser()

    if isinstance(source, DigitsSource):
        return read_digits()
    if isinstance(source, FashionMnistSource):
        return read_fashion_mnist(in_project(source.folder) if source.folder else None, project / DOWNLOADS)
    if isinstance(source, OmniglotSource):
        return read_omniglot([in_project(path) for path in source.path or ()], source.image_size, project / DOWNLOADS)
    return read_image_folder(source, project)
