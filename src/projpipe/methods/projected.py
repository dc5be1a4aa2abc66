"""The method of the project: the source's weights, projected to a student's by an operator that looks at the task."""

from projpipe.methods.method import Ingredients, Method, Style
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator


def build(given: Ingredients) -> ProjectionOperator:
    """The untrained operator, which is the static projection."""
    return operator(given, Conditioning(**given.config.conditioning.model_dump()))


def operator(given: Ingredients, terms: Conditioning) -> ProjectionOperator:
    """A projection operator that depends on the task through these terms."""
    config = given.config
    return ProjectionOperator(
        given.source,
        given.student,
        terms,
        given.seed,
        start=config.start,
        tuned=config.source == "tuned",
        free_weights=config.free_weights,
        ranked=given.sizes is not None,
        class_map=config.free_weights and not config.rate_shares.factors,
        factors_rate=config.rate_shares.factors,
        offsets_rate=config.rate_shares.offsets,
    )


PROJECTED = Method(
    name="projected",
    style=Style("Projected", "#0072b2", "circle"),
    build=build,
    main=True,
    described={
        "classification": (
            "The method: the teacher&rsquo;s weights are mapped to a small model&rsquo;s weights by a trained "
            "operator that looks at the task."
        ),
        "image_modeling": (
            "The method: the teacher&rsquo;s weights are mapped to a small model&rsquo;s weights by a trained "
            "operator that looks at the task. The small model is told nothing: the task is in its weights, through "
            "the teacher&rsquo;s embeddings of the task&rsquo;s classes, whose mean is projected, and through what "
            "of the projection depends on the task."
        ),
    },
)
