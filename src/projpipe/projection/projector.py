"""A trained projector: what makes small models, and how it is asked for them.

Its folder holds `manifest.json` (shapes, classes, image settings, where it came from, a checksum),
`projector.safetensors` (what was trained, the source's canonical weights, and the projected weights, which no task
changes), and where sizes were measured, `sizes.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from projpipe.errors import InputError
from projpipe.images.pictures import find_pictures, read_picture
from projpipe.objectives import Objective
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector_manifest import classes_of_group, find_classes
from projpipe.projection.size_choice import SizeChoice
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.write import write_projector
from projpipe.students.elapsed import Elapsed
from projpipe.students.limits import Limits, fast_enough
from projpipe.students.onnx_file import onnx_latency
from projpipe.students.size_table import SizeTable
from projpipe.students.stopwatch import time_of
from projpipe.students.student import Student
from projpipe.transformer.class_weights import pad_tasks, told
from projpipe.transformer.forward import forward_students
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

SEEN = 0.02  # share of the support images from which on a class counts; that of a lone image always does
Support = np.ndarray | Sequence[np.ndarray | Path | str] | Path | str  # pictures of a task whose classes are not named


@dataclass(frozen=True)
class Projector:
    """A trained projection operator with the names and settings of its data.

    `objective` says what its models do with images. `data` holds `classes` (names, in the order of the source's),
    `groups` (of each class, "" for none), `held_out_classes` (those that no training task had, for which less is to be
    expected) and whether images have black and white swapped (`inverted`). `provenance` says what made it. `of_sizes`
    makes smaller students of the largest, None where there is one size; `size_table` says what was measured of some.
    `weights_sha256` is that of its file, once it is read from one.
    """

    operator: ProjectionOperator
    objective: Objective
    data: dict[str, Any]
    provenance: dict[str, Any]
    of_sizes: SizeOffsets | None = None
    size_table: SizeTable | None = None
    weights_sha256: str = ""

    @property
    def sizes(self) -> Sizes | None:
        """Those of its students; None where there is one."""
        return None if self.of_sizes is None else self.of_sizes.sizes

    @property
    def classes(self) -> list[str]:
        """Names of the classes that a task may hold."""
        return list(self.data["classes"])

    def generate(
        self,
        classes: Sequence[str] | None = None,
        support_images: Support | None = None,
        size: str | None = None,
        max_parameters: str | int | None = None,
        max_macs: str | int | None = None,
        max_latency: str | None = None,
        batch: int | None = None,
        threads: int | None = None,
    ) -> VisionTransformer:
        """Make a small model for the given classes, in one shot: `student` as a model of timm.

        Args:
            classes, support_images: as of `student`.
            size: as `24x2`, width x depth, or with heads and hidden units as `24x2x4x96`.
            max_parameters, max_macs, max_latency: as `50k`, `1M`, `2ms`; the best size within all of them is made. The
                latency is that of a timm model here.
            batch, threads: images in a forward pass whose latency is measured, and threads that compute it; 1 of each
                if they are not given.

        Returns:
            A stock timm VisionTransformer in eval mode; a classifier's `pretrained_cfg` holds `label_names`, `mean`,
            `std`.

        Raises:
            InputError: as `student` and `size_within` do.

        Example:
            >>> from projpipe import load_projector
            >>> projector = load_projector("data/digits/06_models/projector")  # doctest: +SKIP
            >>> student = projector.generate(classes=["3", "5", "8"])  # doctest: +SKIP
        """
        limits = Limits.of(size, max_parameters, max_macs, max_latency, batch, threads)
        classes = self._asked(classes, support_images)
        chosen, _ = self.size_within(limits, classes)
        return self.student(classes, size=chosen).to_timm()

    @torch.no_grad()
    def student(
        self,
        classes: Sequence[str] | None = None,
        support_images: Support | None = None,
        size: TransformerSpec | None = None,
    ) -> Student:
        """Make a small model for the given classes, in one shot: one that tells them apart, or draws images of them.

        Args:
            classes: class names, two or more for a classifier, whose logits are in this order.
            support_images: a few unlabelled pictures of the task instead of its classes, a folder or a list of them;
                the task is then what the source sees in them, see `recognise`.
            size: one of `sizes`; None for the one that is recommended, or the largest where none is.

        Raises:
            InputError: an unknown class, a class given twice, or too few; classes and images both, or neither; a size
                that is none of this projector's.
        """
        class_ids = self.class_ids(self._asked(classes, support_images))
        size = self._choice.checked(size or self.recommended)
        names = [self.classes[class_id] for class_id in class_ids]  # as the projector writes them
        weights = self.operator(*pad_tasks([class_ids]))
        if self.of_sizes is not None:
            weights = self.of_sizes(weights, size)
        threshold, row = (None, ()) if self.size_table is None else self.size_table.threshold_of(size, len(names))
        return Student(
            size,
            {name: tensor[0] for name, tensor in weights.items()},
            names,
            self.of_pictures,
            provenance={
                "dataset": self.data.get("name"),
                "held_out_classes": [name for name in names if name in self.data.get("held_out_classes", [])],
                **self.provenance_of(size),
            },
            energy_threshold=threshold,
            other_row=row,
        )

    @property
    def recommended(self) -> TransformerSpec:
        """The size that is made where none is asked for: that of the size table, else the largest."""
        return self._choice.recommended

    def size_within(self, limits: Limits, classes: Sequence[str]) -> tuple[TransformerSpec, Elapsed | None]:
        """The best size of a student for some classes that is within limits, and its latency if measured.

        Raises:
            InputError: there is none; names the nearest.
        """
        latency = partial(self.latency, classes, batch=limits.batch, threads=limits.threads)
        return fast_enough(self._choice.within(limits, len(classes)), limits, latency)

    def latency(
        self, classes: Sequence[str], size: TransformerSpec, batch: int = 1, threads: int = 1, onnx: bool = False
    ) -> Elapsed:
        """How long a forward pass of the timm model of some classes takes here, by the clock and undisturbed.

        Args:
            size: one of `sizes`.
            batch, threads: images in the pass, and threads that compute it.
            onnx: measure its ONNX file in ONNX Runtime instead; for classifiers.
        """
        model = self.student(classes, size=size).to_timm()
        if onnx:
            return onnx_latency(model, batch, threads)
        return time_of(partial(self.objective.logits, model, self.objective.blank(batch)), threads)

    def latency_ms(self, classes: Sequence[str], size: TransformerSpec, batch: int = 1, threads: int = 1) -> float:
        """The median of `latency` by the clock, in milliseconds."""
        return self.latency(classes, size, batch, threads)["median_ms"]

    @property
    def _choice(self) -> SizeChoice:
        return SizeChoice(self.operator.spec, self.sizes, self.size_table)

    def provenance_of(self, size: TransformerSpec) -> dict[str, Any]:
        """What is passed on to models of a size, whose score is their own: of many, the projector's is that of two."""
        said = {key: value for key, value in self.provenance.items() if key != "parameters"}
        if self.sizes is None:
            return said
        said.pop("validation_score", None)
        score = None if self.size_table is None else self.size_table.score_of(size)
        return said if score is None else {**said, "validation_score": score}

    def _asked(self, classes: Sequence[str] | None, support_images: Support | None) -> Sequence[str]:
        """The classes that are asked for by name, or by pictures of them."""
        if (classes is None) == (support_images is None):
            raise InputError("generate: give either classes or support_images")
        if support_images is not None:
            return self.recognise(support_images)
        assert classes is not None
        return classes

    @property
    def of_pictures(self) -> Objective:
        """The objective for pictures as they are."""
        return self.objective.of_pictures(bool(self.data.get("inverted")))

    def group(self, name: str) -> list[str]:
        """Names of all classes of a group.

        Raises:
            InputError: there is no such group; names the nearest ones.
        """
        return classes_of_group(self.classes, self.data.get("groups", []), name)

    @torch.no_grad()
    def recognise(self, support_images: Support) -> list[str]:
        """Names of the classes that the source sees in pictures, in its own order; for classifiers.

        The pictures are a folder of them, a list of files or arrays, or uint8 `[N, H, W, C]`, as they are: they are
        normalised here, with black and white swapped where the projector's own images were. Files are brought to the
        size of the source's images.

        A class counts if it is the likeliest one of at least one image, and of one in fifty where there are many:
        single mistakes of the source add no class from 51 images on, and with fewer every one does.

        Raises:
            InputError: there is no picture, one cannot be read, is not uint8 or has another shape than the source's
                images, or they show fewer than two classes.
        """
        spec = self.operator.source.spec
        if spec.symbols:
            raise InputError("support_images: are for classifiers; name the classes instead")
        pictures = self._pictures(support_images)
        likeliest = self.source_logits(pictures).argmax(-1)
        seen = likeliest.bincount(minlength=len(self.classes)) >= max(1, SEEN * len(pictures))
        names = [name for name, there in zip(self.data["classes"], seen.tolist(), strict=True) if there]
        if len(names) < 2:
            raise InputError(f"support_images: show {names or 'no class'}; give images of two or more classes")
        return names

    def source_logits(self, pictures: np.ndarray) -> Tensor:
        """Logits `[N, K]` of a classifier's source, for pictures uint8 `[N, H, W, C]` as they are."""
        return self.teacher(self.classes)(self.of_pictures.encode(pictures))

    def teacher(self, classes: Sequence[str], device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
        """A classifier's source, masked to some classes: encoded images `[N, ...]` on a device to logits `[N, K]`."""
        spec, task = self.operator.source.spec, self.class_ids(classes)
        weights = told(spec, self.operator.source_weights(), *pad_tasks([task]))
        there = {name: tensor.to(device) for name, tensor in weights.items()}

        @torch.no_grad()
        def logits(images: Tensor) -> Tensor:
            return forward_students(spec, there, images[None])[0]

        return logits

    def _pictures(self, given: Support) -> np.ndarray:
        """Support images as uint8 `[N, H, W, C]` of the source's size."""
        spec = self.operator.source.spec
        expected = (*spec.image_size, spec.in_chans)
        if not isinstance(given, np.ndarray):
            named = find_pictures([str(given)]) if isinstance(given, str | Path) else given
            grey = spec.in_chans == 1
            read = [
                one if isinstance(one, np.ndarray) else read_picture(Path(one), spec.image_size, grey) for one in named
            ]
            given = np.stack(read) if len({one.shape for one in read}) == 1 else np.empty(len(read), object)
        if not len(given):
            raise InputError("support_images: there is none; give a few pictures of two or more classes")
        if given.dtype != np.uint8 or given.shape[1:] != expected:
            raise InputError(
                f"support_images: {given.dtype} {list(given.shape)} is not uint8 "
                f"[N, {', '.join(map(str, expected))}]; give pictures of this size, with values 0 to 255"
            )
        return given

    def class_ids(self, classes: Sequence[str]) -> list[int]:
        """Positions of class names among the source's classes."""
        return find_classes(self.data["classes"], classes, self.objective.fewest_classes)

    def save(self, folder: Path | str, compact: bool = False, card: str | None = None) -> None:
        """Write the projector's folder, whole or not at all, with its size table if it has one.

        Args:
            compact: in float16, without what training alone takes. It makes the same models but for the rounding of
                weights. The folder of what was read from a compact one is so anyhow.
            card: a model card, for README.md.

        Raises:
            InputError: a weight is too large for float16.
        """
        said = {"objective": self.objective.to_json(), "data": self.data, "provenance": self.provenance}
        compact = compact or self.operator.compact
        write_projector(Path(folder), self.operator, self.of_sizes, self.size_table, said, compact, card)
