"""Parameters of the pipeline `train_projector`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from projpipe.config.base import Config, Fraction, Precision, Seeds


class StudentConfig(Config):
    """Size of the student. Patch size, image size and token layout are the teacher's."""

    embed_dim: PositiveInt
    depth: PositiveInt
    num_heads: PositiveInt
    mlp_ratio: PositiveFloat

    @model_validator(mode="after")
    def _whole_heads(self) -> "StudentConfig":
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not divisible by num_heads {self.num_heads}; change one of them"
            )
        return self


class ConditioningConfig(Config):
    """The terms by which a factor depends on the task; at least one is on."""

    templates: Annotated[int, Field(ge=0, description="matrices mixed by the task; 0 switches the mixture off")]
    rank: Annotated[int, Field(ge=0, description="rank of the low-rank term; 0 switches it off")]
    gates: Annotated[bool, Field(description="scales the source's units")]
    units: Annotated[bool, Field(description="on: the maps of heads and hidden units depend on the task too")]
    task_embed_dim: PositiveInt

    @model_validator(mode="after")
    def _depends_on_the_task(self) -> "ConditioningConfig":
        if not (self.templates or self.rank or self.gates):
            raise ValueError(
                "templates, rank and gates are all off, which is the static projection that is trained anyway; "
                "switch one on"
            )
        return self


class OptimisationConfig(Config):
    """One schedule for the projector and for every baseline.

    A worker's tasks of a step are run in `accumulate` parts, one after another, which takes less memory and changes
    nothing else. `precision` is that of matrix products; weights and their optimiser stay float32.
    """

    steps: PositiveInt
    tasks_per_step: PositiveInt
    images_per_task: PositiveInt
    accumulate: PositiveInt = 1
    precision: Precision = "float32"
    weight_decay: Annotated[float, Field(ge=0.0)]
    warmup_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    gradient_clip: PositiveFloat
    ema_decay: Fraction
    distillation_weight: Annotated[float, Field(ge=0.0, le=1.0, description="share of the loss; the rest is labels")]
    distillation_temperature: PositiveFloat
    validate_every: PositiveInt
    checkpoint_every: PositiveInt


class RayConfig(Config):
    """Where training runs. `address: null` starts a cluster on this machine; `auto` or a host joins one.

    Each worker has `loading_workers` processes that prefetch its images; with 0 it reads them itself.
    """

    address: str | None = None
    num_workers: PositiveInt = 1
    use_gpu: bool | None = None  # where the cluster has one for every worker
    cpus_per_worker: PositiveInt = 1
    max_failures: Annotated[int, Field(ge=0)] = 1
    loading_workers: Annotated[int, Field(ge=0)] = 0


class TrainProjectorConfig(Config):
    """Parameters of the pipeline `train_projector`.

    `learning_rates` are at the peak of the schedule, one for each method that is trained, chosen on validation tasks;
    `methods.registry` says which there are.
    """

    seeds: Seeds
    student: StudentConfig
    start: Literal["principal", "random", "uniform"]
    source: Literal["frozen", "tuned"]
    free_weights: Annotated[bool, Field(description="learned offsets to the weights, the same for all tasks")]
    conditioning: ConditioningConfig
    optimisation: OptimisationConfig
    learning_rates: dict[str, PositiveFloat]
    ray: RayConfig

    @model_validator(mode="after")
    def _even_shares(self) -> "TrainProjectorConfig":
        tasks, workers = self.optimisation.tasks_per_step, self.ray.num_workers
        if tasks % workers:
            raise ValueError(
                f"optimisation.tasks_per_step {tasks} does not divide among ray.num_workers {workers}; change one"
            )
        if tasks // workers % (parts := self.optimisation.accumulate):
            raise ValueError(
                f"optimisation.accumulate {parts} does not divide the {tasks // workers} tasks of a step that each of "
                f"ray.num_workers {workers} has; change one of them or tasks_per_step"
            )
        return self
