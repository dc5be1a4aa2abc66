"""The universal conditional model, whose initial weights are the static projection's.

What the projector has from its start, this has too: what is left between them is how the task comes in.
"""

from projpipe.methods import universal
from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.model_init import principal_init
from projpipe.methods.universal_model import UniversalModel


def build(given: Ingredients) -> UniversalModel:
    """The model with the weights that the untrained projection makes."""
    return universal.model(given, principal_init(given.source, given.student, ranked=given.sizes is not None))


UNIVERSAL_PRINCIPAL = Method(
    name="universal_principal",
    style=Style("Universal, projected start", "#b8a800", "triangle-left", "longdash"),
    build=build,
    shared=True,
)
