"""The universal conditional model: one small model for all tasks, trained from scratch and told its task."""

from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.universal_model import UniversalModel
from projpipe.transformer.canonical import Weights


def build(given: Ingredients) -> UniversalModel:
    """The model with random initial weights."""
    return model(given)


def model(given: Ingredients, init: Weights | None = None) -> UniversalModel:
    """A universal model with these initial weights; random ones if None."""
    return UniversalModel(given.source, given.student, given.config.conditioning.task_embed_dim, given.seed, init)


UNIVERSAL = Method(
    name="universal",
    style=Style("Universal conditional", "#cc79a7", "triangle-up", "dot"),
    build=build,
    main=True,
    shared=True,
    described={
        "classification": (
            "One small model of the same size, trained from scratch on all tasks and told which one it is on (a "
            "task token, and gains and shifts after each normalisation). The usual alternative."
        ),
        "image_modeling": (
            "One small model of the same size, trained from scratch on all tasks and told which one it is on (the "
            "mean of its embeddings of the task&rsquo;s classes is added to every token, a task token stands "
            "before the first, and there are gains and shifts after each normalisation). The usual alternative."
        ),
    },
    told_apart={
        "classification": "a universal conditional model of its size",
        "image_modeling": "a universal conditional model of its size",
    },
)
