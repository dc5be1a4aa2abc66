"""Parameters of the pipeline `sweep_students`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from projpipe.config.base import Config, Fraction, Seed


class SweepStudentsConfig(Config):
    """Parameters of the pipeline `sweep_students`: a search among the sizes of a trained projector.

    Nothing is trained: a trial judges students of one size on validation tasks, and measures their latency. With limits
    the search keeps to sizes within them, and so does the size that is recommended.
    """

    seed: Seed
    trials: Annotated[PositiveInt, Field(description="sizes that are tried; fewer where there are not as many")]
    sampler: Annotated[Literal["tpe", "nsga2", "random"], Field(description="Optuna's")]
    images_per_class: Annotated[PositiveInt, Field(description="validation images, of each class of a task")]
    listed: Annotated[PositiveInt, Field(le=1000, description="sizes of the Pareto front in the projector's table")]
    tolerance: Annotated[
        Fraction, Field(description="share of the best score by which the recommended size may be worse; it is smaller")
    ]
    max_latency_ms: Annotated[PositiveFloat | None, Field(description="of a forward pass")] = None
    max_parameters: Annotated[PositiveInt | None, Field(description="of a model")] = None
    max_macs: Annotated[PositiveInt | None, Field(description="multiply-accumulates of an image")] = None
    batch: Annotated[PositiveInt, Field(description="images in a forward pass whose latency is measured")] = 1
    threads: Annotated[PositiveInt, Field(description="that compute it")] = 1
