"""The universal conditional model, whose initial weights are selected from the teacher's.

Weight selection: Xu et al., 2024, arXiv 2311.18823.
"""

from projpipe.methods import universal
from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.model_init import selected_init
from projpipe.methods.universal_model import UniversalModel


def build(given: Ingredients) -> UniversalModel:
    """The model with selected initial weights."""
    return universal.model(given, selected_init(given.source, given.student))


UNIVERSAL_SELECTED = Method(
    name="universal_selected",
    style=Style("Universal, weights selected", "#d55e00", "triangle-down", "dashdot"),
    build=build,
    shared=True,
)
