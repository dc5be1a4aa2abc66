"""Parameters of the pipeline `extract_teacher`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from projpipe.config.base import Config, Fraction, Precision, Seed

Levels = Annotated[int, Field(ge=2, le=256)]


class ClassificationConfig(Config):
    """Models tell the classes of a task apart."""

    name: Literal["classification"]


class PixelTokens(Config):
    """A token for each pixel of a grey image, brought to a size (null: as it is) and to so many levels of grey."""

    kind: Literal["pixels"]
    image_size: PositiveInt | None = None
    levels: Levels


class PatchTokens(Config):
    """A token for each patch of pixels as `PixelTokens` has them: the nearest of a codebook found by k-means.

    Where the codebook has an entry for every patch that there is, no more and no less, nothing is lost.
    """

    kind: Literal["patches"]
    image_size: PositiveInt | None = None
    levels: Levels
    patch_size: PositiveInt
    codebook: Annotated[int, Field(ge=2, le=256)]


class ImageModelingConfig(Config):
    """Models give the likelihood of images of a task's classes, token after token, and draw new ones.

    `unconditional` is the share of images for which the teacher is not told the class while it is trained.
    """

    name: Literal["image_modeling"]
    tokens: Annotated[PixelTokens | PatchTokens, Field(discriminator="kind")]
    unconditional: Fraction


ObjectiveConfig = Annotated[ClassificationConfig | ImageModelingConfig, Field(discriminator="name")]


class Augmentation(Config):
    """Random affine changes; `copies` of them are stored with their teacher logits for every training image.

    The first copy is the image itself. `flip` and `colour` are for photographs: a digit that is flipped is another one.
    """

    copies: PositiveInt
    rotation: Annotated[float, Field(ge=0.0, le=180.0, description="degrees, to either side")]
    translation: Annotated[float, Field(ge=0.0, le=0.5, description="share of the image's side, to either side")]
    scale: Annotated[float, Field(ge=0.0, lt=1.0, description="share of the image's size, up or down")]
    shear: Annotated[float, Field(ge=0.0, le=45.0, description="degrees, to either side")]
    flip: Annotated[bool, Field(description="half of the images, left to right")] = False
    colour: Annotated[
        float,
        Field(ge=0.0, lt=1.0, description="brightness, contrast and saturation, up or down; for the teacher alone"),
    ] = 0.0

    @property
    def changes_images(self) -> bool:
        """Whether images are seen otherwise than as they are."""
        return any((self.rotation, self.translation, self.scale, self.shear, self.flip))


class Normalisation(Config):
    """Mean and deviation of images in 0..1, one value a channel."""

    mean: Annotated[tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...], Field(min_length=1)]
    std: Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], Field(min_length=1)]


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
    `weights` is `random`, `pretrained` (timm's hub), the path of a safetensors checkpoint, or `projector:` and the
    place of a projector (a folder, the name of one that ships, `hf-hub:owner/name`) whose teacher is taken.
    `normalisation` is what a classifier's weights expect of images; null is that of the published weights where they
    are `pretrained`, else that of the train split.
    `precision` is that of matrix products while the teacher is trained and while it says what students are taught.
    `threads` compute all that, on a CPU; another number gives other last digits.
    `loading_workers` processes prefetch images for its forward passes; with 0 they are read in between.
    """

    seed: Seed
    objective: ObjectiveConfig
    architecture: str
    arguments: dict[str, int | float | bool | str | None] = Field(default_factory=dict)
    weights: str
    normalisation: Normalisation | None = None
    precision: Precision = "float32"
    threads: PositiveInt = 2
    loading_workers: Annotated[int, Field(ge=0)] = 0
    training: TeacherTraining
    augmentation: Augmentation
