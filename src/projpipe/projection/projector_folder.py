"""A trained projector as a folder of its own: all that it takes to make small models, and nothing else.

The folder holds `manifest.json` (shapes, classes, image settings, where it came from, a checksum) and
`projector.safetensors` (the trained factors, the source's canonical weights, and the products of both that no task
changes).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from unicodedata import normalize

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save

from projpipe.atomic import write_atomically
from projpipe.errors import InputError, did_you_mean
from projpipe.manifest import MANIFEST, manifest_bytes, read_manifest
from projpipe.objectives import Classification, ImageModeling, Objective, objective_from_json
from projpipe.projection.factors import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.products import Products
from projpipe.projection.shapes import projector_shapes
from projpipe.projection.source import Source
from projpipe.record import Bounds, from_json
from projpipe.students.model_card import check_provenance
from projpipe.students.student import Student
from projpipe.tensors import prefixed, read_tensors, starting_with
from projpipe.transformer.forward import forward_students
from projpipe.transformer.spec import Size, TransformerSpec
from projpipe.transformer.timm_folder import load_weights

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

SEEN = 0.02  # share of the support images from which on a class counts; that of a lone image always does
KIND, TENSORS = "projector", "projector.safetensors"


@dataclass(frozen=True)
class Projector:
    """A trained projection operator with the names and settings of its data.

    `objective` says what its models do with images. `data` holds `classes` (names, in the order of the source's),
    `groups` (of each class, "" for none), `held_out_classes` (those that no training task had, for which less is to be
    expected) and whether images have black and white swapped (`inverted`). `provenance` says what made it.
    """

    operator: ProjectionOperator
    objective: Objective
    data: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names of the classes that a task may hold."""
        return list(self.data["classes"])

    def generate(
        self, classes: Sequence[str] | None = None, support_images: np.ndarray | None = None
    ) -> VisionTransformer:
        """Make a small model for the given classes, in one shot: `student` as a model of timm.

        Returns:
            A stock timm VisionTransformer in eval mode; a classifier's `pretrained_cfg` holds `label_names`, `mean`,
            `std`.

        Raises:
            InputError: as `student` does.

        Example:
            >>> from projpipe import load_projector
            >>> projector = load_projector("data/digits/06_models/projector")  # doctest: +SKIP
            >>> student = projector.generate(classes=["3", "5", "8"])  # doctest: +SKIP
        """
        return self.student(classes, support_images).to_timm()

    @torch.no_grad()
    def student(self, classes: Sequence[str] | None = None, support_images: np.ndarray | None = None) -> Student:
        """Make a small model for the given classes, in one shot: one that tells them apart, or draws images of them.

        Args:
            classes: class names, two or more for a classifier, whose logits are in this order.
            support_images: a few unlabelled pictures of the task instead of its classes; the task is then what the
                source sees in them, see `recognise`.

        Raises:
            InputError: an unknown class, a class given twice, or too few; classes and images both, or neither.
        """
        if (classes is None) == (support_images is None):
            raise InputError("generate: give either classes or support_images")
        if support_images is not None:
            classes = self.recognise(support_images)
        assert classes is not None
        class_ids = self.class_ids(classes)
        names = [self.classes[class_id] for class_id in class_ids]  # as the projector writes them
        ids = torch.tensor([class_ids])
        weights = self.operator(ids, torch.ones_like(ids, dtype=torch.bool))
        return Student(
            self.operator.spec,
            {name: tensor[0] for name, tensor in weights.items()},
            names,
            self._of_pictures,
            provenance={
                "dataset": self.data.get("name"),
                "held_out_classes": [name for name in names if name in self.data.get("held_out_classes", [])],
                **{key: value for key, value in self.provenance.items() if key != "parameters"},
            },
        )

    @property
    def _of_pictures(self) -> Objective:
        """The objective for pictures as they are."""
        return self.objective.of_pictures(bool(self.data.get("inverted")))

    def group(self, name: str) -> list[str]:
        """Names of all classes of a group.

        Raises:
            InputError: there is no such group; names the nearest ones.
        """
        groups = self.data.get("groups", [])
        members = [one for one, group in zip(self.classes, groups, strict=False) if group == name != ""]
        if not members:
            known = sorted(set(groups) - {""})
            raise InputError(f"group: {name!r} is not a group of this projector; {_nearest(name, known)}")
        return members

    @torch.no_grad()
    def recognise(self, support_images: np.ndarray) -> list[str]:
        """Names of the classes that the source sees in pictures, in its own order; for classifiers.

        The pictures are uint8 `[N, H, W, C]`, as they are: they are normalised here, with black and white swapped where
        the projector's own images were.

        A class counts if it is the likeliest one of at least one image, and of one in fifty where there are many:
        single mistakes of the source add no class from 51 images on, and with fewer every one does.

        Raises:
            InputError: the pictures are not uint8 or have another shape than the source's images, or they show fewer
                than two classes.
        """
        spec = self.operator.source.spec
        if spec.symbols:
            raise InputError("support_images: are for classifiers; name the classes instead")
        expected = (*spec.image_size, spec.in_chans)
        if support_images.dtype != np.uint8 or support_images.shape[1:] != expected:
            raise InputError(
                f"support_images: {support_images.dtype} {list(support_images.shape)} is not uint8 "
                f"[N, {', '.join(map(str, expected))}]; give pictures of this size, with values 0 to 255"
            )
        weights = {name: tensor[None] for name, tensor in self.operator.source_weights().items()}
        encoded = self._of_pictures.encode(support_images)
        likeliest = forward_students(spec, weights, encoded[None])[0].argmax(-1)
        seen = likeliest.bincount(minlength=len(self.classes)) >= max(1, SEEN * len(support_images))
        names = [name for name, there in zip(self.data["classes"], seen.tolist(), strict=True) if there]
        if len(names) < 2:
            raise InputError(f"support_images: show {names or 'no class'}; give images of two or more classes")
        return names

    def class_ids(self, classes: Sequence[str]) -> list[int]:
        """Positions of class names among the source's classes."""
        if isinstance(classes, str):
            raise InputError(f"classes: {classes!r} is one name; give a list such as {self.classes[:2]}")
        known = {normalize("NFC", name): position for position, name in enumerate(self.data["classes"])}
        classes = [normalize("NFC", name) if isinstance(name, str) else name for name in classes]
        for name in classes:
            if name not in known:
                raise InputError(f"classes: {name!r} is not a class of this projector; {_nearest(name, list(known))}")
        if len(classes) < self.objective.fewest_classes:
            several = self.objective.fewest_classes > 1
            fewest = "two or more; add what to tell apart" if several else "at least one; name it"
            raise InputError(f"classes: {classes} must be {fewest}")
        if repeated := [name for name, count in Counter(classes).items() if count > 1]:
            raise InputError(f"classes: {min(repeated)!r} stands there twice; name it once")
        return [known[name] for name in classes]

    def save(self, folder: Path | str) -> None:
        """Write the projector's folder, whole or not at all."""
        source = prefixed("source.", self.operator.source_weights())
        statistics = prefixed("statistics.", self.operator.source.statistics)
        # A tuned source is the source of the folder: there it is frozen.
        state = {name: tensor for name, tensor in self.operator.state_dict().items() if "tuned_weights" not in name}
        operator = prefixed("operator.", state)
        kept = self.operator.precompute()
        products = prefixed("products.", kept.to_tensors())
        tensors = {**source, **statistics, **operator, **products}
        content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        described = {
            "source": self.operator.source.spec.to_json(),
            "student": self.operator.spec.to_json(),
            "conditioning": asdict(self.operator.conditioning),
            "free_weights": self.operator.free_weights,
            "class_map": self.operator.class_map is not None,
            "objective": self.objective.to_json(),
            "data": self.data,
            "provenance": self.provenance,
        }
        with write_atomically(Path(folder)) as temporary:
            temporary.mkdir()
            (temporary / TENSORS).write_bytes(content)
            (temporary / MANIFEST).write_bytes(manifest_bytes(KIND, described, {TENSORS: content}))


def _nearest(name: object, known: Sequence[str]) -> str:
    return did_you_mean(name, known, otherwise=f"known: {', '.join(known[:10]) or 'none'}", count=3)


def load_projector(folder: Path | str) -> Projector:
    """Read a projector's folder.

    Needs neither training data nor the packages that train.

    Raises:
        InputError: the folder is no projector, or a file of it is missing, truncated or changed, or does not fit the
            other one.
    """
    folder = Path(folder)
    fix = "train it again with `kedro run --pipelines train_projector`, or fetch it again"
    manifest = read_manifest(folder, KIND, [TENSORS], fix)
    try:
        return _assemble(manifest, folder / TENSORS)
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / MANIFEST} does not describe {TENSORS}: {reason}; {fix}") from error


@dataclass(frozen=True)
class _Data:
    """What a manifest says of the data."""

    classes: Annotated[Sequence[str], Bounds(1, 2**16)]
    name: str | None = None
    groups: Sequence[str] = ()
    inverted: bool = False
    image_size: tuple[Size, Size] | None = None
    channels: Size | None = None
    held_out_classes: Sequence[str] = ()

    def check(self, objective: Objective) -> None:
        """Refuse what contradicts itself, or the objective."""
        if len(set(self.classes)) != len(self.classes):
            raise InputError(f"data.classes: {len(set(self.classes))} names are not {len(self.classes)}")
        if self.groups and len(self.groups) != len(self.classes):
            raise InputError(f"data.groups: {len(self.groups)} are not one for each of {len(self.classes)} classes")
        if isinstance(objective, ImageModeling) and objective.swapped != self.inverted:
            raise InputError(f"data.inverted: {json.dumps(self.inverted)} is not what the objective says")
        if isinstance(objective, Classification) and min(objective.std) < 0:
            raise InputError(f"objective.std: {min(objective.std)} is no deviation")


@dataclass(frozen=True)
class _Manifest:
    """What a manifest describes."""

    source: object
    student: object
    conditioning: Conditioning
    free_weights: bool
    objective: object
    data: _Data
    provenance: object
    class_map: bool = False


def _assemble(described: dict[str, Any], path: Path) -> Projector:
    """The projector that a manifest describes; all that it says is checked before tensors are read."""
    manifest = from_json(_Manifest, described, exact=True)
    check_provenance(manifest.provenance, "provenance")
    source, student = (TransformerSpec.from_json(described[name], name) for name in ("source", "student"))
    if student != source.student(student.embed_dim, student.depth, student.num_heads, student.mlp_ratio):
        raise InputError("student: is no model that reads what the source reads")
    objective = objective_from_json(manifest.objective, "objective")
    objective.check_spec(source)
    manifest.data.check(objective)
    shapes = projector_shapes(
        source,
        student,
        manifest.conditioning,
        len(manifest.data.classes),
        manifest.free_weights,
        manifest.class_map,
    )
    operator = _restore(source, student, manifest, read_tensors(path, shapes))
    return Projector(operator.eval(), objective, described["data"], described["provenance"])


def _restore(
    source: TransformerSpec, student: TransformerSpec, manifest: _Manifest, tensors: dict[str, torch.Tensor]
) -> ProjectionOperator:
    """The operator of the tensors of a folder."""
    weights, statistics = starting_with("source.", tensors), starting_with("statistics.", tensors)
    with torch.random.fork_rng():  # the initial weights are replaced: nobody should notice the draw, or wait for a PCA
        operator = ProjectionOperator(
            Source(source, weights, statistics),
            student,
            manifest.conditioning,
            0,
            "uniform",
            free_weights=manifest.free_weights,
            class_map=manifest.class_map,
        )
    load_weights(operator, starting_with("operator.", tensors))
    operator.products = Products.from_tensors(starting_with("products.", tensors))
    return operator
