"""Typed parameters: what every `conf/*/parameters_<pipeline>.yml` may hold.

Each pipeline has one model here. Unknown keys and values out of range are refused before any node runs.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Config(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DigitsSource(Config):
    """scikit-learn's `load_digits`: 1,797 grey images of 8x8 pixels, 10 classes, shipped inside the package."""

    name: Literal["digits"]


class FashionMnistSource(Config):
    """Fashion-MNIST: 70,000 grey images of 28x28 pixels, 10 classes.

    `folder` holds the four IDX files, gzipped or not; null looks where Debian's package `dataset-fashion-mnist`
    puts them, then downloads with torchvision.
    """

    name: Literal["fashion_mnist"]
    folder: str | None = None


class OmniglotSource(Config):
    """Omniglot: 20 drawings of each character; a group is an alphabet.

    `path` is an official zip or an unpacked folder `<alphabet>/<character>/*.png`; null downloads with torchvision.
    """

    name: Literal["omniglot"]
    path: str | None = None
    image_size: PositiveInt = 28


class ImageFolderSource(Config):
    """Images as `<root>/<class>/*` or `<root>/<group>/<class>/*`, in any format that Pillow reads."""

    name: Literal["image_folder"]
    root: str
    image_size: PositiveInt = 64
    grey: bool = False


ImageSource = Annotated[
    DigitsSource | FashionMnistSource | OmniglotSource | ImageFolderSource, Field(discriminator="name")
]


class SplitFractions(Config):
    """Shares of every class's images that are kept for validation and for testing; the rest is for training."""

    validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    test: Annotated[float, Field(gt=0.0, lt=1.0)]

    @model_validator(mode="after")
    def _leave_images_to_train_on(self) -> "SplitFractions":
        if self.validation + self.test >= 1.0:
            raise ValueError(f"validation + test = {self.validation + self.test:g} leaves no images to train on")
        return self


class TaskCounts(Config):
    """How many tasks of each kind a draw makes."""

    train: Annotated[int, Field(ge=0)] = 0
    validation: Annotated[int, Field(ge=0)] = 0
    new_combination: Annotated[int, Field(ge=0)] = 0
    new_class: Annotated[int, Field(ge=0)] = 0


class SampledTasks(Config):
    """Tasks drawn at random: `random` from all classes, `group` from the classes of one group (coherent tasks).

    A task has `classes_per_task[0]` to `classes_per_task[1]` classes, both included.
    """

    strategy: Literal["random", "group"]
    classes_per_task: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]]
    counts: TaskCounts

    @model_validator(mode="after")
    def _order(self) -> "SampledTasks":
        low, high = self.classes_per_task
        if low > high:
            raise ValueError(f"classes_per_task: {low} is above {high}; give [fewest, most]")
        return self


class ExplicitTask(Config):
    """A task given by the names of its classes; the name of a group stands for all of its classes."""

    strategy: Literal["explicit"]
    kind: Literal["train", "validation", "new_combination", "new_class"]
    name: str
    classes: Annotated[tuple[str, ...], Field(min_length=1)]


TaskDraw = Annotated[SampledTasks | ExplicitTask, Field(discriminator="strategy")]


class HeldOutClasses(Config):
    """Classes that no train, validation or new_combination task contains.

    Given by name (of a class or of a whole group), or drawn with the seed.
    """

    count: Annotated[int, Field(ge=0)] = 0
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> "HeldOutClasses":
        if self.count and self.names:
            raise ValueError("held_out_classes: give count or names, not both")
        return self


class SplitTasksConfig(Config):
    """Parameters of the pipeline `split_tasks`."""

    seed: Seed
    source: ImageSource
    split: SplitFractions
    held_out_classes: HeldOutClasses
    tasks: Annotated[tuple[TaskDraw, ...], Field(min_length=1)]


class Augmentation(Config):
    """Random affine changes; `copies` of them are stored with their teacher logits for every training image."""

    copies: PositiveInt
    rotation: Annotated[float, Field(ge=0.0, le=180.0, description="degrees, to either side")]
    translation: Annotated[float, Field(ge=0.0, le=0.5, description="share of the image's side, to either side")]
    scale: Annotated[float, Field(ge=0.0, lt=1.0, description="share of the image's size, up or down")]
    shear: Annotated[float, Field(ge=0.0, le=45.0, description="degrees, to either side")]


class TeacherTraining(Config):
    """How the teacher is trained on the train split; `epochs: 0` takes its weights as they are."""

    epochs: Annotated[int, Field(ge=0)]
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: Annotated[float, Field(ge=0.0)]
    label_smoothing: Fraction


class ExtractTeacherConfig(Config):
    """Parameters of the pipeline `extract_teacher`.

    `architecture` and `arguments` go to `timm.create_model`; channels and classes come from the data.
    `weights` is `random`, `pretrained` (timm's hub) or the path of a safetensors checkpoint.
    """

    seed: Seed
    architecture: str
    arguments: dict[str, int | float | bool | str | None] = {}
    weights: str
    training: TeacherTraining
    augmentation: Augmentation


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
    """One schedule for the projector and for every baseline."""

    steps: PositiveInt
    tasks_per_step: PositiveInt
    images_per_task: PositiveInt
    weight_decay: Annotated[float, Field(ge=0.0)]
    warmup_fraction: Annotated[float, Field(gt=0.0, lt=1.0)]
    gradient_clip: PositiveFloat
    ema_decay: Fraction
    distillation_weight: Annotated[float, Field(ge=0.0, le=1.0, description="share of the loss; the rest is labels")]
    distillation_temperature: PositiveFloat
    validate_every: PositiveInt
    checkpoint_every: PositiveInt


class LearningRates(Config):
    """Peak learning rate of each method, chosen on validation tasks."""

    projected: PositiveFloat
    static: PositiveFloat
    universal: PositiveFloat


class RayConfig(Config):
    """Where training runs. `address: null` starts a cluster on this machine; `auto` or a host joins one."""

    address: str | None = None
    num_workers: PositiveInt = 1
    use_gpu: bool | None = None  # where the cluster has one for every worker
    cpus_per_worker: PositiveInt = 1
    max_failures: Annotated[int, Field(ge=0)] = 1


class TrainProjectorConfig(Config):
    """Parameters of the pipeline `train_projector`."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    student: StudentConfig
    start: Literal["principal", "random", "uniform"]
    source: Literal["frozen", "tuned"]
    free_weights: Annotated[bool, Field(description="adds learned weights, the same for all tasks")]
    conditioning: ConditioningConfig
    optimisation: OptimisationConfig
    learning_rates: LearningRates
    ray: RayConfig

    @model_validator(mode="after")
    def _distinct_seeds_and_even_shares(self) -> "TrainProjectorConfig":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} repeat a value; give each once")
        tasks, workers = self.optimisation.tasks_per_step, self.ray.num_workers
        if tasks % workers:
            raise ValueError(
                f"optimisation.tasks_per_step {tasks} does not divide among ray.num_workers {workers}; change one"
            )
        return self


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


Method = Literal["projected", "static", "universal", "universal_selected", "scratch", "distilled", "pruned"]


class ComparedMethod(Config):
    """One row of a comparison. `changes` are parameters of `train_projector`, nested as there.

    `learning_rate` is needed where `train_projector` has none for the method.
    """

    method: Method
    name: str = ""
    learning_rate: PositiveFloat | None = None
    changes: dict[str, Any] = {}


class ComparisonTable(Config):
    """Methods that are compared with each other: the first with all others, on the same tasks and seeds.

    `controls` adds rows of the first method told a wrong task.
    """

    name: str
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    changes: dict[str, Any] = {}
    controls: bool = False
    methods: Annotated[tuple[ComparedMethod, ...], Field(min_length=1)]


class CompareMethodsConfig(Config):
    """Parameters of the pipeline `compare_methods`. What the tables do not change is as in `train_projector`.

    Methods that train a model per task (`scratch`, `distilled`, `pruned`) are trained and judged on the first
    `sampled_tasks` held-out combinations.
    """

    sampled_tasks: PositiveInt
    tables: Annotated[tuple[ComparisonTable, ...], Field(min_length=1)]


class LatencyConfig(Config):
    """How latency is measured: teacher and student take turns, with a fixed number of threads."""

    batch_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    threads: PositiveInt
    repeats: Annotated[int, Field(ge=5)]


class EvaluateConfig(Config):
    """Parameters of the pipeline `evaluate`."""

    seed: Seed
    bootstrap_samples: Annotated[int, Field(ge=100)]
    train_tasks: Annotated[int, Field(ge=0, description="how many train tasks to report on besides the held-out ones")]
    latency: LatencyConfig
