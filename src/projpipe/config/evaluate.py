"""Parameters of the pipeline `evaluate`."""

from typing import Annotated

from pydantic import Field, PositiveInt

from projpipe.config.base import Config, Seed


class LatencyConfig(Config):
    """How latency is measured: teacher and student take turns, with a fixed number of threads."""

    batch_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    threads: PositiveInt
    repeats: Annotated[int, Field(ge=5)]


class EvaluateConfig(Config):
    """Parameters of the pipeline `evaluate`."""

    seed: Seed
    bootstrap_samples: Annotated[int, Field(ge=100)]
    example_tasks: Annotated[int, Field(ge=1, description="how many held-out tasks the report shows examples of")]
    train_tasks: Annotated[int, Field(ge=0, description="how many train tasks to report on besides the held-out ones")]
    latency: LatencyConfig
