"""projpipe: train one projector per large Transformer, then get a small specialised one for any task in one shot.

The names below are imported when they are first used, so that `import projpipe` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projpipe.projection.projector import Projector as Projector
    from projpipe.projection.projector_folder import load_projector as load_projector
    from projpipe.students.student import Student as Student
    from projpipe.students.student import load_student as load_student

__version__ = "0.1.0"
__all__ = ["Projector", "Student", "__version__", "load_projector", "load_student"]

_HOMES = {
    "Projector": "projpipe.projection.projector",
    "Student": "projpipe.students.student",
    "load_projector": "projpipe.projection.projector_folder",
    "load_student": "projpipe.students.student",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'projpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
