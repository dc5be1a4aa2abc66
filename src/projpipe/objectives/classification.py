"""Classification: models tell the classes of a task apart."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.images.augmentation import warp
from projpipe.images.normalisation import normalise
from projpipe.metric import ACCURACY, Metric
from projpipe.objectives.card_text import CardText
from projpipe.objectives.distillation import distilled
from projpipe.record import Bounds, from_json, to_json
from projpipe.transformer.architecture import published_normalisation
from projpipe.transformer.spec import Size, TransformerSpec
from projpipe.transformer.timm_folder import InputSettings, VitArguments

if TYPE_CHECKING:
    from projpipe.config import ExtractTeacherConfig
    from projpipe.images.dataset_card import DatasetCard
    from projpipe.objectives.batch import Batch

SMALLEST_STD = 1e-6
OWN_KEPT = 0.95  # share of images of its classes that a model takes for such: those above its energy threshold
logger = logging.getLogger(__name__)

CARD = CardText(
    purpose="tells {} apart",
    pipeline_tag="image-classification",
    heading_of_classes="Classes, in the order of the logits",
    of_teacher="all classes",
    use="""## Use

```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
```

`model.pretrained_cfg` holds the names of the classes (`label_names`) and the normalisation (`mean`, `std`), which
`projpipe predict FOLDER IMAGE...` applies.""",
    caution="This model's own accuracy was not measured: `projpipe evaluate FOLDER IMAGES` does that.",
)


@dataclass(frozen=True)
class Classification:
    """A logit for each class of the task; a teacher's are masked to them.

    Args:
        mean, std: normalisation of images in 0..1, one value a channel.
        image_shape: `[C, H, W]`.
    """

    mean: Sequence[Annotated[float, Bounds(0, 1)]]
    std: Sequence[Annotated[float, Bounds(-10, 10)]]
    image_shape: tuple[Size, Size, Size]

    name: ClassVar[str] = "classification"
    metric: ClassVar[Metric] = ACCURACY
    fewest_classes: ClassVar[int] = 2
    samples: ClassVar[bool] = False  # models draw no images
    per_task: ClassVar[bool] = True  # there are baselines that train a model for each task
    card: ClassVar[CardText] = CARD
    stored_as: ClassVar[torch.dtype] = torch.float32  # of what students are taught

    @classmethod
    def fit(cls, config: ExtractTeacherConfig, card: DatasetCard) -> Classification:
        """Takes the normalisation of the config, else that of published weights or of the data set's card.

        Raises:
            InputError: the config has it for another number of channels.
        """
        mean, std, channels = list(card.mean), list(card.std), card.channels
        if config.normalisation is not None:
            mean, std = list(config.normalisation.mean), list(config.normalisation.std)
            if not len(mean) == len(std) == channels:
                raise InputError(
                    f"extract_teacher.normalisation: {len(mean)} means and {len(std)} deviations are not one for each "
                    f"of the images' {channels} channels; give as many"
                )
        elif config.weights == "pretrained":
            mean, std = published_normalisation(config.architecture, channels)
        elif config.weights != "random":
            logger.info("images are normalised with mean and deviation of the train split: %s, %s", mean, std)
        return cls(mean, std, (channels, *card.image_size))

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, **to_json(self)}

    @classmethod
    def from_json(cls, described: object, place: str = "") -> Classification:
        return from_json(cls, described, place, exact=True)

    def check_spec(self, spec: TransformerSpec) -> None:
        """Refuse the shape of a model of other images than these, and a normalisation that is none."""
        if spec.symbols or self.image_shape != (spec.in_chans, *spec.image_size):
            raise InputError(f"objective.image_shape: {list(self.image_shape)} is not that of {spec.describe_images()}")
        if not len(self.mean) == len(self.std) == spec.in_chans or min(map(abs, self.std)) < SMALLEST_STD:
            raise InputError(
                f"objective.std: {len(self.mean)} means and {len(self.std)} deviations are not one for each of "
                f"{spec.in_chans} channels, or one is zero"
            )

    def of_pictures(self, inverted: bool) -> Classification:
        """The same for pictures as they are, where images were `inverted` before: ((1 - x) - mean) / std."""
        if not inverted:
            return self
        return Classification([1 - value for value in self.mean], [-value for value in self.std], self.image_shape)

    def input_settings(self, classes: Sequence[str]) -> InputSettings:
        """What a model of these classes says of itself."""
        return InputSettings(self.mean, self.std, classes)

    # --- images and the teacher

    def encode(self, images: np.ndarray, affine: Tensor | None = None) -> Tensor:
        """Images uint8 `[N, H, W, C]` as models read them, normalised float `[N, C, H, W]`, seen through `affine`."""
        read = normalise(images, self.mean, self.std)
        return read if affine is None else warp(read, affine)

    def blank(self, count: int) -> Tensor:
        """`count` encoded images that show nothing, `[count, C, H, W]`."""
        return torch.zeros(count, *self.image_shape)

    @staticmethod
    def planned_arguments(config: ExtractTeacherConfig) -> VitArguments:
        """What makes a teacher before data are known."""
        return VitArguments(config.arguments, in_chans=3, num_classes=2)

    def teacher_arguments(self, config: ExtractTeacherConfig, card: DatasetCard) -> VitArguments:
        """What makes a teacher of the channels, classes and image size of the data."""
        arguments = {"img_size": list(card.image_size), **config.arguments}
        return VitArguments(arguments, card.channels, len(card.classes), self.input_settings(card.classes))

    @staticmethod
    def check_teacher(spec: TransformerSpec) -> None:
        """Refuse a shape that is not for this objective."""
        if spec.symbols:
            raise InputError(
                "extract_teacher.arguments.global_pool: a classifier needs one; leave it out or set it to 'token' or "
                "'avg'"
            )

    def training_loss(
        self, model: nn.Module, images: Tensor, labels: Tensor, label_smoothing: float, generator: torch.Generator
    ) -> Tensor:
        """Of a teacher, on encoded images `[N, ...]` with class ids `[N]`."""
        return F.cross_entropy(model(images), labels, label_smoothing=label_smoothing)

    def logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """What a deployed model says about encoded images: `[N, K]`."""
        return model(images)

    def teacher_logits(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """What students are taught about encoded images: the teacher's logits `[N, K]`."""
        return model(images)

    def class_scores(self, model: nn.Module, images: Tensor) -> Tensor:
        """How much the teacher holds encoded images to be of each class: its logits `[N, K]`."""
        return model(images)

    # --- what people are shown

    def shown(self, pictures: np.ndarray) -> np.ndarray:
        """Images uint8 `[N, H, W, C]` as models see them: as they are."""
        return pictures

    def answers(self, model: nn.Module, pictures: np.ndarray, classes: Sequence[int]) -> Tensor:
        """For which of the task's classes a model takes images uint8 `[N, H, W, C]`: positions `[N]` among them.

        The model is one of the task's, or a teacher, whose logits are masked to the task's classes.
        """
        logits = self.logits(model, self.encode(pictures))
        if logits.shape[1] != len(classes):
            logits = logits[:, list(classes)]
        return logits.argmax(-1)

    # --- students

    def of_task(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Stored teacher logits `[T, B, K_all]` for tasks of class ids `[T, K]`: `[T, B, K]`."""
        return logits.gather(2, classes[:, None].expand(-1, logits.shape[1], -1))

    def loss(self, logits: Tensor, batch: Batch, weight: float, temperature: float) -> Tensor:
        """Cross-entropy on labels mixed with distillation from the teacher.

        Args:
            logits: the students' `[T, B, K]`, very negative where the mask is False.
            weight: share of the distillation term.
        """
        labels = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
        teacher = batch.teacher_logits.masked_fill(~batch.mask[:, None], -torch.inf)
        return (1 - weight) * labels + weight * distilled(logits, teacher, temperature)

    def source_loss(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Of a source that is tuned, on its logits `[N, K]` of images with class ids `[N]`."""
        return F.cross_entropy(logits, labels)

    def scores(self, logits: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """Whether logits `[N, K]` are highest at the targets `[N]`, positions among the task's classes: 1 or 0."""
        return self.masked_scores(logits, targets)

    def masked_scores(self, class_scores: Tensor, targets: Tensor) -> Tensor:
        """Of a teacher whose logits are masked to a task's classes, `[N, K]`; else as `scores`."""
        return (class_scores.argmax(-1) == targets).float()


def energy_score(logits: Tensor) -> Tensor:
    """How much logits `[..., K]` speak for any of the classes: high for images of one, low for images of none.

    It is the negative free energy of Liu et al. (2020, arXiv 2010.03759) less the logarithm of `K`, so that models for
    few and for many classes have one scale.
    """
    return logits.logsumexp(-1) - math.log(logits.shape[-1])
