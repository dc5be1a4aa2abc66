"""A model for each task, trained from scratch on labels alone."""

from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.per_task_models import PerTaskModels, random_inits


def build(given: Ingredients) -> PerTaskModels:
    """The models with random initial weights."""
    return PerTaskModels(given.student, given.tasks, random_inits(given.student, given.tasks, given.seed))


SCRATCH = Method(
    name="scratch",
    style=Style("Per task, from scratch", "#56b4e9", "pentagon", "longdashdot"),
    build=build,
    per_task=True,
    distils=False,
)
