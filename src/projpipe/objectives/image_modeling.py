"""Image modelling: models give the likelihood of images of a task's classes, token after token, and draw new ones.

Symbols are read in raster order after a start symbol. The teacher is a causal Transformer that is told the class of an
image, or nothing; what it says of a set of classes is the mixture of what it says of each. The models of a task carry
no condition: the task is in their weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.images.augmentation import warp
from projpipe.images.normalisation import normalise
from projpipe.metric import BITS_PER_PIXEL, BITS_PER_TOKEN, Metric
from projpipe.objectives.card_text import CardText
from projpipe.objectives.distillation import distilled
from projpipe.objectives.tokens import Tokens
from projpipe.record import Bounds, from_json, to_json
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.class_weights import pad_tasks, told
from projpipe.transformer.decoder import decoder_images, run_decoder
from projpipe.transformer.sampling import sample
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import InputSettings, VitArguments

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

    from projpipe.config import ExtractTeacherConfig, ImageModelingConfig
    from projpipe.images.dataset_card import DatasetCard
    from projpipe.images.streamed import Images
    from projpipe.objectives.batch import Batch

NO_CLASS = -1
FORWARD_IMAGES = 256  # at most so many at once where the teacher is told every class in turn
AS_A_DECODER = {"patch_size": 1, "class_token": False, "global_pool": ""}  # what makes a timm ViT one
OWN_ARGUMENTS = ("img_size", "patch_size", "class_token", "global_pool", "reg_tokens", "pre_norm")


CARD = CardText(
    purpose="draws images of {}, symbol after symbol",
    pipeline_tag="unconditional-image-generation",
    heading_of_classes="Classes",
    of_teacher="told the class",
    use="""## Use

`projpipe sample FOLDER --out pictures.png` draws images. The weights are those of a stock timm model, which is run with
causal attention:

```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
logits = model(images, is_causal=True)  # of the symbol at every position
```

`images` hold, one-hot in their channels, the symbol before each position; the last channel is the start symbol.""",
    caution="This model's own likelihood was not measured.",
)


@dataclass(frozen=True)
class ImageModeling:
    """The next symbol, after every symbol before it.

    Args:
        tokens: how images become symbols.
        unconditional: share of the images for which the teacher is not told the class while it is trained.
        swapped: models are trained on images with black and white swapped.
    """

    tokens: Tokens
    unconditional: Annotated[float, Bounds(0, 1)]
    swapped: bool = False

    name: ClassVar[str] = "image_modeling"
    fewest_classes: ClassVar[int] = 1
    samples: ClassVar[bool] = True
    per_task: ClassVar[bool] = False
    card: ClassVar[CardText] = CARD
    stored_as: ClassVar[torch.dtype] = torch.float16

    @property
    def metric(self) -> Metric:
        """Bits for each pixel of the modelled image; for each token where symbols do not tell all of it."""
        return BITS_PER_PIXEL if self.tokens.lossless else BITS_PER_TOKEN

    @classmethod
    def fit(
        cls,
        asked: ImageModelingConfig,
        config: ExtractTeacherConfig,
        images: Images,
        rows: np.ndarray,
        card: DatasetCard,
    ) -> ImageModeling:
        """Finds the tokens of the rows of images."""
        from projpipe.objectives.codebook import fit_tokens

        cls._check(config)
        return cls(fit_tokens(asked, images, rows, config.seed), asked.unconditional, card.inverted)

    @staticmethod
    def _check(config: ExtractTeacherConfig) -> None:
        """Refuse what a decoder cannot be."""
        if config.weights == "pretrained":
            raise InputError(
                "extract_teacher.weights: timm has no pretrained models of images as tokens; set it to 'random' or "
                "give the path of a safetensors checkpoint"
            )
        if config.normalisation is not None:
            raise InputError("extract_teacher.normalisation: images become tokens in image_modeling; leave it out")
        if config.augmentation.colour:
            raise InputError("extract_teacher.augmentation.colour: images are grey in image_modeling; leave it out")
        if given := [name for name in OWN_ARGUMENTS if name in config.arguments]:
            raise InputError(
                f"extract_teacher.arguments.{given[0]}: the tokens decide this in image_modeling; leave it out"
            )

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, **to_json(self)}

    @classmethod
    def from_json(cls, described: object, place: str = "") -> ImageModeling:
        return from_json(cls, described, place, exact=True)

    def check_spec(self, spec: TransformerSpec) -> None:
        """Refuse the shape of a model that is no decoder of these tokens, and tokens that are none."""
        self.tokens.check()
        expected = replace(spec, in_chans=self.tokens.symbols + 1, patch_size=1, class_token=False, pool="")
        if spec != replace(expected, symbols=self.tokens.symbols, image_size=self.tokens.grid):
            read = f"{list(self.tokens.grid)} of {self.tokens.symbols} symbols"
            raise InputError(f"objective.tokens: {read} are not {spec.describe_images()}")

    def of_pictures(self, inverted: bool) -> ImageModeling:
        """The same: images that are drawn are swapped back as they are decoded."""
        return self

    def input_settings(self, classes: Sequence[str]) -> InputSettings:
        """What a model says of itself: its channels are symbols, not to be normalised."""
        channels = self.tokens.symbols + 1
        return InputSettings(channels * [0.0], channels * [1.0])

    # --- images and the teacher

    def encode(self, images: np.ndarray, affine: Tensor | None = None) -> Tensor:
        """Images uint8 `[N, H, W, 1]`, seen through `affine`, as symbols int64 `[N, 1, h, w]`."""
        read = normalise(images, [0.0], [1.0])
        return self.tokens.encode(read if affine is None else warp(read, affine))

    def decode(self, symbols: Tensor) -> np.ndarray:
        """Symbols `[N, 1, h, w]` as images uint8 `[N, H, W, 1]`, black and white as in the original pictures."""
        images = self.tokens.decode(symbols).clamp(0, 1)
        shown = 1 - images if self.swapped else images
        return (255 * shown).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def blank(self, count: int) -> Tensor:
        """`count` encoded images of the first symbol."""
        return torch.zeros(count, 1, *self.tokens.grid, dtype=torch.long)

    @classmethod
    def planned_arguments(cls, asked: ImageModelingConfig, config: ExtractTeacherConfig) -> VitArguments:
        """What makes a teacher before data are known."""
        cls._check(config)
        symbols = asked.tokens.codebook if asked.tokens.kind == "patches" else asked.tokens.levels
        return VitArguments(_decoder_arguments(config, 8), in_chans=symbols + 1, num_classes=symbols)

    def teacher_arguments(self, config: ExtractTeacherConfig, card: DatasetCard) -> VitArguments:
        """What makes a teacher: a channel for each symbol, one for the start and one for each class."""
        arguments = _decoder_arguments(config, list(self.tokens.grid))
        return VitArguments(arguments, self.tokens.symbols + 1 + len(card.classes), self.tokens.symbols)

    @staticmethod
    def check_teacher(spec: TransformerSpec) -> None:
        """Every shape that `teacher_arguments` makes is for this objective."""

    def training_loss(
        self, model: nn.Module, images: Tensor, labels: Tensor, label_smoothing: float, generator: torch.Generator
    ) -> Tensor:
        """Of a teacher, on symbols `[N, 1, h, w]` with class ids `[N]`, which it is told but for a share of them."""
        untold = torch.rand(len(labels), generator=generator) < self.unconditional
        given = labels.masked_fill(untold.to(labels.device), NO_CLASS)
        logits = run_decoder(model, decoder_images(images, self.tokens.symbols, self._classes(model), given))
        return F.cross_entropy(logits.flatten(0, 1), images.flatten(), label_smoothing=label_smoothing)

    def logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """What a deployed model, or a teacher that is not told the class, says of symbols: `[N, h*w, V]`."""
        nothing = torch.full((len(images),), NO_CLASS, device=images.device)
        return self.teacher_logits(model, images, nothing)

    def teacher_logits(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """What students are taught about symbols: the logits `[N, h*w, V]` of a teacher that is told the class.

        In the mean over the images of a task these teach the mixture of its classes.
        """
        return run_decoder(model, decoder_images(images, self.tokens.symbols, self._classes(model), labels))

    def class_scores(self, model: nn.Module, images: Tensor) -> Tensor:
        """Log-likelihood of symbols under each class, in nats: `[N, K]`."""

        def of_class(part: Tensor, class_id: int) -> Tensor:
            labels = torch.full((len(part),), class_id, device=part.device)
            return -self._nats(self.teacher_logits(model, part, labels), part)

        classes = range(self._classes(model))
        return torch.cat(
            [torch.stack([of_class(part, c) for c in classes], -1) for part in images.split(FORWARD_IMAGES)]
        )

    # --- what people are shown

    def shown(self, pictures: np.ndarray) -> np.ndarray:
        """Images uint8 `[N, H, W, C]` as models see them: brought to the size and the symbols that are modelled."""
        return self.decode(self.encode(pictures))

    def examples(self, model: VisionTransformer, count: int, classes: Sequence[int], seed: int) -> np.ndarray:
        """So many images, drawn from a task's model or from a teacher told its classes."""
        spec, weights = TransformerSpec.of(model), canonical_weights(model)
        if "condition.weight" not in weights:
            return self.decode(sample(spec, weights, count, seed))
        drawn = []
        for position, rows in enumerate(torch.arange(count).tensor_split(len(classes))):
            of_class = told(spec, weights, *pad_tasks([[classes[position]]]))
            alone = {name: tensor[0] for name, tensor in of_class.items()}
            drawn.append(sample(spec, alone, len(rows), seed + position))
        return self.decode(torch.cat(drawn))

    # --- students

    def of_task(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Stored teacher logits `[T, B, h*w, V]` are for every task of the image's class."""
        return logits

    def loss(self, logits: Tensor, batch: Batch, weight: float, temperature: float) -> Tensor:
        """Cross-entropy on symbols mixed with distillation from the teacher.

        Args:
            logits: the students' `[T, B, h*w, V]`.
            weight: share of the distillation term.
        """
        symbols = F.cross_entropy(logits.flatten(0, 2), batch.images.flatten())
        return (1 - weight) * symbols + weight * distilled(logits, batch.teacher_logits.float(), temperature)

    def source_loss(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Of a source that is tuned, on its logits `[N, h*w, V]` of symbols, of which it is told the class."""
        return F.cross_entropy(logits.flatten(0, 1), images.flatten())

    def scores(self, logits: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """Bits per pixel (or token) `[N]` of symbols under logits `[N, h*w, V]`."""
        return self._bits(self._nats(logits, images))

    def masked_scores(self, class_scores: Tensor, targets: Tensor) -> Tensor:
        """Bits of the teacher's mixture of a task's classes, from log-likelihoods `[N, K]` under each of them."""
        return self._bits(math.log(class_scores.shape[1]) - class_scores.logsumexp(-1))

    def _nats(self, logits: Tensor, images: Tensor) -> Tensor:
        losses = F.cross_entropy(logits.float().mT, images.flatten(1), reduction="none")
        return losses.sum(-1)

    def _bits(self, nats: Tensor) -> Tensor:
        return nats / (math.log(2) * self.tokens.units)

    def _classes(self, model: Any) -> int:
        """How many classes a model can be told: none of a student's."""
        return model.in_chans - self.tokens.symbols - 1


def _decoder_arguments(config: ExtractTeacherConfig, size: int | list[int]) -> dict[str, object]:
    """The config's arguments as a decoder's."""
    return {**config.arguments, **AS_A_DECODER, "img_size": size}
