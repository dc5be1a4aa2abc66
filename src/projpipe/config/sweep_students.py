"""Parameters of the pipeline `sweep_students`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from projpipe.config.base import Config, Seed


class StudentSpace(Config):
    """Values that the sweep may choose from; combinations that do not divide into whole heads are not tried."""

    embed_dim: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    depth: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    num_heads: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    mlp_ratio: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]


class SweepStudentsConfig(Config):
    """Parameters of the pipeline `sweep_students`. Conditioning and schedule are those of `train_projector`.

    `trials_at_once: 1` runs one trial after another, 0 as many at once as the cluster has room for. Suggestions are
    asked for and results told in whole batches, so that a given number reproduces exactly.
    """

    seed: Seed
    trials: PositiveInt
    trials_at_once: Annotated[int, Field(ge=0)]
    sampler: Literal["tpe", "nsga2", "random"]
    steps: PositiveInt
    space: StudentSpace
