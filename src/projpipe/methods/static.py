"""The static projection: the same operator, without the terms that look at the task."""

from projpipe.methods import projected
from projpipe.methods.method import Ingredients, Method, Style
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator


def build(given: Ingredients) -> ProjectionOperator:
    """The untrained operator, all conditioning off."""
    return projected.operator(given, Conditioning.none())


STATIC = Method(
    name="static",
    style=Style("Static projection", "#e69f00", "square", "dash"),
    build=build,
    main=True,
    shared=True,
    described={
        "classification": (
            "The same operator without the look at the task: one small body for all tasks, with the rows of the "
            "task&rsquo;s classes in its classifier. What <em>Projected</em> gains over it is what looking at the "
            "task brings."
        ),
        "image_modeling": (
            "The same operator without the look at the task: one small body for all tasks, with the "
            "mean embedding of the task&rsquo;s classes in its weights. What <em>Projected</em> gains over it is "
            "what looking at the task brings."
        ),
    },
    told_apart={
        "classification": "the same projection without a look at the task",
        "image_modeling": "the same projection without a look at the task",
    },
)
