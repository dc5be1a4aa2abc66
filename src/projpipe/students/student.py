"""A small model out of a projector, and its folder.

The folder is what `timm.create_model("local-dir:FOLDER", pretrained=True)` loads and the Hugging Face hub takes for a
timm model: `config.json` (architecture, class names, normalisation), `model.safetensors` and `README.md` (the model
card). Besides, `manifest.json` says what made the model and holds checksums of all of them. Writing and reading it
takes no timm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.errors import InputError
from projpipe.manifest import CARD, CONFIG, FIXES, MANIFEST, REQUIRED, WEIGHTS, manifest_bytes, read_manifest
from projpipe.objectives import ImageModeling, Objective, objective_from_json
from projpipe.objectives.classification import energy_score
from projpipe.places import located
from projpipe.record import from_json, read_json
from projpipe.students.model_card import check_provenance, model_card
from projpipe.students.model_manifest import NO_DRAWING, DescribedModel
from projpipe.tensors import check_finite, check_size, read_tensors, shapes_of
from projpipe.transformer.canonical import Weights
from projpipe.transformer.export import ARCHITECTURE, export_student, from_timm_state, timm_arguments, timm_state
from projpipe.transformer.forward import features, forward_students, linear
from projpipe.transformer.sampling import sample
from projpipe.transformer.spec import STUDENT_NORM_EPS, TransformerSpec

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

KIND = "model"


@dataclass(frozen=True)
class Student:
    """A small Vision Transformer for one task.

    Args:
        spec: its shape.
        weights: canonical weights, without an axis of tasks.
        classes: names of its classes; a classifier's in the order of its logits.
        objective: what it does with images, and how it reads them; where the projector was trained on images with black
            and white swapped, it swaps them too.
        provenance: what made it: `teacher`, `dataset`, `held_out_classes` and more, as JSON values.
        energy_threshold: an image for which less speaks, see `answers`, is taken for one of another class; None where
            that was not measured.
        other_row: what of the features speaks for another class, a number for each; none where nothing was learned.
    """

    spec: TransformerSpec
    weights: Weights
    classes: Sequence[str]
    objective: Objective
    provenance: dict[str, Any]
    energy_threshold: float | None = None
    other_row: Sequence[float] = ()

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Encoded images `[N, ...]` to logits `[N, ...]`, as the timm model computes them."""
        return forward_students(self.spec, self._of_one_task, images[None])[0]

    @torch.inference_mode()
    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """A classifier's logits `[N, K]` of encoded images `[N, ...]`, and what speaks for any of its classes `[N]`.

        The latter is the energy score of the logits less what `other_row` reads of the features.
        """
        read = features(self.spec, self._of_one_task, images[None])
        logits = self._logits_of(images, read)
        energy = energy_score(logits)
        return logits, energy - read[0] @ read.new_tensor(self.other_row) if self.other_row else energy

    def _logits_of(self, images: Tensor, read: Tensor) -> Tensor:
        """Logits `[N, K]` of images whose features `[1, N, d]` are there."""
        return linear(read, self._of_one_task, "head")[0]

    @property
    def _of_one_task(self) -> Weights:
        """The weights with an axis of tasks."""
        return {name: tensor[None] for name, tensor in self.weights.items()}

    def sample(self, count: int, seed: int = 0, temperature: float = 1.0, top_k: int | None = None) -> np.ndarray:
        """Draw images of its classes: uint8 `[count, H, W, 1]`; for image models.

        Args:
            seed: fixes the draw.
            temperature: below 1 what is likely becomes likelier.
            top_k: only so many of the likeliest symbols are drawn from; None for all.

        Raises:
            InputError: it is a classifier, or a value is out of range.
            FloatingPointError: its weights are so large that a logit is infinite or no number.
        """
        if not isinstance(self.objective, ImageModeling):
            raise InputError(NO_DRAWING)
        return self.objective.decode(sample(self.spec, self.weights, count, seed, temperature, top_k))

    def to_timm(self) -> VisionTransformer:
        """The model as timm's, in eval mode; a classifier's `pretrained_cfg` holds `label_names`, `mean` and `std`."""
        return export_student(self.spec, self.weights, self.objective.input_settings(self.classes))

    def save(self, folder: Path | str) -> None:
        """Write the model's folder, whole or not at all; what was there is replaced.

        Raises:
            InputError: a weight is infinite or none, as those of a projector may be whose own are too large.
        """
        state = {name: tensor.contiguous() for name, tensor in timm_state(self.spec, self.weights).items()}
        check_finite(state)
        config = json.dumps(self._timm_config(), indent=2, ensure_ascii=False) + "\n"
        card = model_card(self.spec, self.classes, self.objective, self.provenance)
        files = {CONFIG: config.encode(), WEIGHTS: save(state, metadata={"format": "pt"}), CARD: card.encode()}
        described = {
            "spec": self.spec.to_json(),
            "classes": list(self.classes),
            "objective": self.objective.to_json(),
            "provenance": self.provenance,
            **self._other_classes,
        }
        files[MANIFEST] = manifest_bytes(KIND, described, files)
        with write_atomically(Path(folder), durable=False) as temporary:  # a lost one is made again in milliseconds
            temporary.mkdir()
            for name, content in files.items():
                (temporary / name).write_bytes(content)

    @property
    def _other_classes(self) -> dict[str, object]:
        row = {"other_row": list(self.other_row)} if self.other_row else {}
        return {} if self.energy_threshold is None else {"energy_threshold": self.energy_threshold, **row}

    def _timm_config(self) -> dict[str, object]:
        """What timm itself writes for this model, a test holds the two to each other; and a threshold if it has one."""
        spec, num_classes = self.spec, len(self.weights["head.bias"])
        size = [spec.in_chans, *spec.image_size]
        return {
            "architecture": ARCHITECTURE,
            "num_classes": num_classes,
            "num_features": spec.embed_dim,
            "global_pool": spec.pool,
            "model_args": {
                "in_chans": spec.in_chans,
                "num_classes": num_classes,
                **timm_arguments(spec, len(self.weights["prefix"])),
            },
            "pretrained_cfg": {
                "interpolation": "bicubic",
                "first_conv": "patch_embed.proj",
                "classifier": "head",
                "input_size": size,
                "fixed_input_size": True,
                "num_classes": num_classes,
                "crop_pct": 1.0,
                "crop_mode": "center",
                "pool_size": None,
                **self.objective.input_settings(self.classes).to_json(),
                "custom_load": False,
            },
            **self._other_classes,  # which timm takes no notice of
        }


def is_whole(folder: Path) -> bool:
    """Whether a folder is there, is that of a model, and nothing of it was lost or changed."""
    try:
        return bool(read_manifest(folder, KIND, REQUIRED[KIND], ""))
    except InputError:
        return False


def load_student(folder: Path | str) -> Student:
    """Read a model's folder: a path, or `hf-hub:owner/name[@revision]`.

    Raises:
        InputError: the folder is no model of projpipe, or a file of it is missing, truncated or changed, or does not
            fit the others; or the hub does not give it.
    """
    folder = located(folder)
    manifest = read_manifest(folder, KIND, REQUIRED[KIND], FIXES[KIND])
    try:
        return _assemble(manifest, folder)
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / MANIFEST} does not describe {WEIGHTS}: {reason}; {FIXES[KIND]}") from error


def _assemble(described: dict[str, Any], folder: Path) -> Student:
    """The model that a manifest describes; all that it says is checked before tensors are read."""
    manifest = from_json(DescribedModel, described, exact=True)
    check_provenance(manifest.provenance, "provenance")
    spec = TransformerSpec.from_json(manifest.spec, "spec")
    objective = objective_from_json(manifest.objective, "objective")
    objective.check_spec(spec)
    if spec.norm_eps != STUDENT_NORM_EPS:
        raise InputError(f"spec.norm_eps: {spec.norm_eps} is not {STUDENT_NORM_EPS}")
    if len(set(manifest.classes)) != len(manifest.classes):
        raise InputError(f"classes: {len(set(manifest.classes))} names are not {len(manifest.classes)}")
    nothing = {name: torch.zeros(()).expand(shape) for name, shape in spec.weight_shapes(len(manifest.classes)).items()}
    if manifest.other_row and len(manifest.other_row) != spec.embed_dim:
        raise InputError(f"other_row: {len(manifest.other_row)} numbers are not {spec.embed_dim}")
    threshold, row = manifest.energy_threshold, manifest.other_row
    student = Student(spec, nothing, described["classes"], objective, described["provenance"], threshold, row)
    if _sorted_json(read_json(folder / CONFIG)) != _sorted_json(student._timm_config()):
        raise InputError(f"{CONFIG} is that of another model")
    check_size(folder / WEIGHTS, spec.deployed_params(len(manifest.classes)))
    shapes = shapes_of(timm_state(spec, nothing))
    return replace(student, weights=from_timm_state(spec, read_tensors(folder / WEIGHTS, shapes)))


def _sorted_json(value: object) -> str:
    """JSON that tells numbers from truth values, as `==` does not."""
    return json.dumps(value, sort_keys=True)
