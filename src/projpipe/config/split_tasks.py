"""Parameters of the pipeline `split_tasks`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from projpipe.config.base import Config, Seed

Kind = Literal["train", "validation", "new_combination", "new_class", "validation_new_class"]
HELD_OUT_KINDS: tuple[Kind, ...] = ("new_combination", "new_class")  # what models are judged on


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

    `path` is an official zip or an unpacked folder `<alphabet>/<character>/*.png`, or a list of them; null downloads
    the background set with torchvision.
    """

    name: Literal["omniglot"]
    path: Annotated[
        Annotated[tuple[str, ...], Field(min_length=1)] | None,
        BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
    ] = None
    image_size: PositiveInt = 28


class SplitFolders(Config):
    """Folders of `root` that hold the images of one split each; a split without one is cut from the training images.

    Training images that are in another of the folders too are left out: with the same pixels where images are packed,
    in the same file, byte for byte, where they are streamed.
    """

    train: str
    validation: str | None = None
    test: str | None = None

    @model_validator(mode="after")
    def _tell_apart(self) -> "SplitFolders":
        if len(self.named) < 2:
            raise ValueError("train alone is no split; name the folder of validation or test, too")
        if len({Path(folder) for folder in self.named.values()}) < len(self.named):
            raise ValueError("two splits have the same folder; give each its own")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The folder of each split that has one."""
        return {split: folder for split, folder in self.model_dump().items() if folder is not None}


class ImageFolderSource(Config):
    """Images as `<root>/<class>/*` or `<root>/<group>/<class>/*`, in any format that Pillow reads.

    `split_folders` says where `root` holds an official split: then classes are in its folders, as
    `<root>/<split>/<class>/*`. `groups` is a CSV file with the columns `class` and `group`, for classes that do not lie
    in folders of groups. `get_with` is a command that fetches the images, to be named where they are not there.
    `storage: packed` decodes them once into one array; `streamed` leaves them in their files and decodes whenever they
    are read, for images that do not fit into memory or a second time on the disk.
    """

    name: Literal["image_folder"]
    root: str
    split_folders: SplitFolders | None = None
    groups: str | None = None
    get_with: str | None = None
    image_size: PositiveInt = 64
    grey: bool = False
    storage: Literal["packed", "streamed"] = "packed"


ImageSource = Annotated[
    DigitsSource | FashionMnistSource | OmniglotSource | ImageFolderSource, Field(discriminator="name")
]


class SplitFractions(Config):
    """Shares of every class's images that are kept for validation and for testing; the rest is for training."""

    validation: Annotated[float, Field(gt=0.0, lt=1.0, description="share for choosing")]
    test: Annotated[float, Field(gt=0.0, lt=1.0, description="share for judging")]

    @model_validator(mode="after")
    def _leave_images_to_train_on(self) -> "SplitFractions":
        if self.validation + self.test >= 1.0:
            raise ValueError(f"validation + test = {self.validation + self.test:g} leaves no images to train on")
        return self


Weight = Annotated[PositiveFloat, Field(description="how often a train task of it is drawn, against one of weight 1")]


class TaskCounts(Config):
    """How many tasks of each kind a draw makes."""

    train: Annotated[int, Field(ge=0, description="to train on")] = 0
    validation: Annotated[int, Field(ge=0, description="to choose by; no training task has the same classes")] = 0
    new_combination: Annotated[
        int, Field(ge=0, description="to judge on: known classes, together for the first time")
    ] = 0
    new_class: Annotated[int, Field(ge=0, description="to judge on: held-out classes")] = 0
    validation_new_class: Annotated[int, Field(ge=0, description="to choose by: validation classes")] = 0


class SampledTasks(Config):
    """Tasks drawn at random: `random` from all classes, `group` from the classes of one group (coherent tasks).

    A task has `classes_per_task[0]` to `classes_per_task[1]` classes, both included. One class is a task for image
    modelling alone. `new_classes` says which of the held-out classes (and of the validation classes) its tasks of
    new classes have: all, those of groups that have known classes too, or those of groups that are new as a whole.
    """

    strategy: Literal["random", "group"]
    classes_per_task: tuple[PositiveInt, PositiveInt]
    counts: TaskCounts
    weight: Weight = 1.0
    new_classes: Literal["all", "of_known_groups", "of_new_groups"] = "all"

    @model_validator(mode="after")
    def _order(self) -> "SampledTasks":
        low, high = self.classes_per_task
        if low > high:
            raise ValueError(f"classes_per_task: {low} is above {high}; give [fewest, most]")
        if not self.counts.train:
            _refuse_weight(self.weight)
        return self


class ExplicitTask(Config):
    """A task given by the names of its classes; the name of a group stands for all of its classes."""

    strategy: Literal["explicit"]
    kind: Kind
    name: str
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Weight = 1.0

    @model_validator(mode="after")
    def _weight_of_train_tasks(self) -> "ExplicitTask":
        if self.kind != "train":
            _refuse_weight(self.weight)
        return self


def _refuse_weight(weight: float) -> None:
    """Where there is no train task."""
    if weight != 1.0:
        raise ValueError(f"weight: {weight:g} is for train tasks, and there is none; leave it out")


class WholeGroups(Config):
    """To train on: of every group a task of all its known classes, if these are two or more."""

    strategy: Literal["whole_groups"]
    weight: Weight = 1.0


TaskDraw = Annotated[SampledTasks | ExplicitTask | WholeGroups, Field(discriminator="strategy")]


class HeldOutClasses(Config):
    """Classes that only tasks of new classes contain, given by name (a group's stands for its classes) or drawn."""

    count: Annotated[int, Field(ge=0, description="how many are drawn")] = 0
    names: Annotated[tuple[str, ...], Field(description="classes or whole groups, instead of drawing")] = ()

    @model_validator(mode="after")
    def _one_way(self) -> "HeldOutClasses":
        if self.count and self.names:
            raise ValueError("give count or names, not both")
        return self


class SplitTasksConfig(Config):
    """Parameters of the pipeline `split_tasks`.

    Neither `held_out_classes` nor `validation_classes` are in any train, validation or new_combination task. The first
    are judged on, by new_class tasks; by the second, with validation_new_class tasks, learning rates are chosen.
    """

    seed: Annotated[Seed, Field(description="of all that is drawn")]
    source: ImageSource
    title: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        Field(description="what reports and model cards call the images; null for the name of their source"),
    ] = None
    images_per_class: Annotated[
        Annotated[int, Field(ge=3)] | None,
        Field(description="and official split at most, the first ones; null for all"),
    ] = None
    split: SplitFractions
    held_out_classes: HeldOutClasses
    validation_classes: HeldOutClasses = HeldOutClasses()
    tasks: Annotated[tuple[TaskDraw, ...], Field(min_length=1)]

    def held_out_tasks(self, sampled_from: Literal["all", "coherent"] = "all") -> int:
        """How many tasks are asked for to judge on, of any sort or of classes that belong together."""
        return sum(
            draw.kind in HELD_OUT_KINDS
            if isinstance(draw, ExplicitTask)
            else draw.counts.new_combination + draw.counts.new_class
            for draw in self.tasks
            if not isinstance(draw, WholeGroups) and (sampled_from == "all" or draw.strategy != "random")
        )
