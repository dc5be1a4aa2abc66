"""Parameters of the pipeline `train_projector`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PositiveFloat, PositiveInt, model_validator

from projpipe.config.base import Config, Fraction, Precision, Seeds

AUTO = "auto"


def _rates_to_find(given: object) -> object:
    """None of `auto`: there is no rate yet."""
    if given is None or (isinstance(given, str) and given != AUTO):
        raise ValueError(f"give {AUTO}, or a rate for each method")
    return None if given == AUTO else given


class StudentConfig(Config):
    """Size of the student. Patch size, image size and token layout are the teacher's."""

    embed_dim: Annotated[PositiveInt, Field(description="width; at most the teacher's")]
    depth: Annotated[PositiveInt, Field(description="blocks; at most the teacher's")]
    num_heads: Annotated[PositiveInt, Field(description="heads; a divisor of embed_dim")]
    mlp_ratio: Annotated[PositiveFloat, Field(description="hidden units over width")]

    @model_validator(mode="after")
    def _whole_heads(self) -> "StudentConfig":
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not divisible by num_heads {self.num_heads}; change one of them"
            )
        return self


class ConditioningConfig(Config):
    """What of a student depends on its task; at least one is on."""

    experts: Annotated[int, Field(ge=0, description="added to the weights, mixed by the task; 0 switches them off")]
    film: Annotated[bool, Field(description="gains and shifts after every normalisation, linear in the embedding")]
    task_embed_dim: Annotated[PositiveInt, Field(description="width of the embedding of a task")]

    @model_validator(mode="after")
    def _depends_on_the_task(self) -> "ConditioningConfig":
        if not (self.experts or self.film):
            raise ValueError(
                "experts and film are both off: that is the static projection, which is trained anyway; switch one on"
            )
        return self


class OptimisationConfig(Config):
    """One schedule for the projector and for every baseline.

    A worker's tasks of a step are run in `accumulate` parts, one after another, which takes less memory and changes
    nothing else. `precision` is that of matrix products; weights and their optimiser stay float32.
    """

    steps: Annotated[PositiveInt, Field(description="of the optimiser, AdamW")]
    tasks_per_step: Annotated[PositiveInt, Field(description="of all workers together")]
    images_per_task: Annotated[PositiveInt, Field(description="of each task, in a step")]
    accumulate: Annotated[PositiveInt, Field(description="parts of a step")] = 1
    precision: Annotated[Precision, Field(description="of matrix products")] = "float32"
    weight_decay: Annotated[float, Field(ge=0.0, description="of AdamW")]
    warmup_fraction: Annotated[float, Field(gt=0.0, lt=1.0, description="share of steps in which rates rise")]
    gradient_clip: Annotated[PositiveFloat, Field(description="largest norm of the gradient")]
    ema_decay: Annotated[
        Fraction, Field(description="of the moving average of the weights, which is what is judged and kept")
    ]
    distillation_weight: Annotated[float, Field(ge=0.0, le=1.0, description="share of the loss; the rest is labels")]
    distillation_temperature: Annotated[PositiveFloat, Field(description="by which logits are divided")]
    validate_every: Annotated[PositiveInt, Field(description="steps from one validation to the next")]
    checkpoint_every: Annotated[PositiveInt, Field(description="steps from one checkpoint to the next")]


class RayConfig(Config):
    """Where training runs. `address: null` starts a cluster on this machine; `auto` or a host joins one.

    Each worker has `loading_workers` processes that prefetch its images; with 0 it reads them itself.
    """

    address: Annotated[str | None, Field(description="of a cluster; null starts one here")] = None
    num_workers: Annotated[PositiveInt, Field(description="they share the tasks of a step")] = 1
    use_gpu: Annotated[bool | None, Field(description="null: where the cluster has one for every worker")] = None
    cpus_per_worker: Annotated[PositiveInt, Field(description="cores and threads of one worker, and of `evaluate`")] = 1
    max_failures: Annotated[int, Field(ge=0, description="lost workers before the run ends")] = 1
    loading_workers: Annotated[int, Field(ge=0, description="processes of a worker that prefetch images")] = 0


class RateSearch(Config):
    """How `learning_rates: auto` finds them: by short runs, as many for each method, judged on validation tasks.

    With the rate that is found, `schedules` other values of warm-up, weight decay and averaging are tried besides those
    of `optimisation`, the same for each method, and the best are kept. An average's memory counts in steps: what suits
    a short run is short.
    """

    steps: Annotated[PositiveInt | None, Field(description="of a short run; null: a quarter of optimisation.steps")] = (
        None
    )
    schedules: Annotated[int, Field(ge=0, le=1000, description="other schedules to try")] = 0


class MethodSchedule(Config):
    """What of the schedule is a method's own; null is as in `optimisation`."""

    warmup_fraction: Annotated[float | None, Field(gt=0.0, lt=1.0)] = None
    weight_decay: Annotated[float | None, Field(ge=0.0)] = None
    ema_decay: Annotated[float | None, Field(ge=0.0, lt=1.0)] = None


class RateShares(Config):
    """How fast the parts of a projector learn, as shares of the method's learning rate.

    With `factors: 0` the maps from the source's coordinates stay as they start, and all else learns. Where there are
    `free_weights`, a learned map of the class features is then added to the rows or embeddings of classes.
    """

    factors: Annotated[float, Field(ge=0.0, description="of the maps from the source's coordinates")] = 0.0
    offsets: Annotated[
        float,
        Field(
            gt=0.0,
            description="of learned offsets, experts and the map of class features; not of those of sizes",
        ),
    ] = 1.0


class TrainProjectorConfig(Config):
    """Parameters of the pipeline `train_projector`.

    `learning_rates` are at the peak of the schedule, one for each method that is trained, chosen on validation tasks;
    `methods.registry` says which there are. With `auto` they are found before anything else is trained, and `schedules`
    with them where `rate_search` asks for it.
    """

    seeds: Annotated[Seeds, Field(description="one projector is trained with each")]
    student: StudentConfig
    smallest: Annotated[
        StudentConfig | None, Field(description="student too: there are all sizes between; null: `student` alone")
    ] = None
    start: Annotated[Literal["principal", "random", "uniform"], Field(description="how the factors are initialised")]
    source: Annotated[Literal["frozen", "tuned"], Field(description="whether the teacher's weights learn too")]
    free_weights: Annotated[bool, Field(description="learned offsets to the weights, the same for all tasks")]
    conditioning: ConditioningConfig
    optimisation: OptimisationConfig
    learning_rates: Annotated[
        dict[str, PositiveFloat] | None,
        BeforeValidator(_rates_to_find),
        PlainSerializer(lambda rates: AUTO if rates is None else rates),
        Field(description="of each method, at the peak of the schedule; `auto` finds them"),
    ]
    rate_shares: RateShares = RateShares()
    rate_search: RateSearch = RateSearch()
    schedules: Annotated[
        dict[str, MethodSchedule], Field(description="of methods that have one of their own; found as rates are")
    ] = Field(default_factory=dict)
    ray: RayConfig

    @property
    def known_rates(self) -> dict[str, float]:
        """The learning rate of each method; none while they are to be found."""
        return self.learning_rates or {}

    def of_method(self, method: str) -> "TrainProjectorConfig":
        """The same with a method's own schedule."""
        own = self.schedules.get(method, MethodSchedule()).model_dump(exclude_none=True)
        return self.model_copy(update={"optimisation": self.optimisation.model_copy(update=own), "schedules": {}})

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
