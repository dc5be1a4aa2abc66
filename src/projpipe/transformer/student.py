"""A small model out of a projector, and its folder.

The folder is what `timm.create_model("local-dir:FOLDER", pretrained=True)` loads and the Hugging Face hub takes for a
timm model: `config.json` (architecture, class names, normalisation), `model.safetensors` and `README.md` (the model
card). Besides, `manifest.json` says what made the model and holds checksums. Writing and reading it takes no timm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.errors import InputError
from projpipe.sealed import MANIFEST, open_sealed, sealed
from projpipe.transformer.canonical import Weights
from projpipe.transformer.export import ARCHITECTURE, export_student, from_timm_state, timm_arguments, timm_state
from projpipe.transformer.forward import forward_students
from projpipe.transformer.model_card import model_card
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

KIND, CARD = "model", "README.md"


@dataclass(frozen=True)
class Student:
    """A small Vision Transformer for one task.

    Args:
        spec: its shape.
        weights: canonical weights, without an axis of tasks.
        classes: names of its classes, in the order of its logits.
        mean, std: by which images in 0..1 are normalised, a value for each channel; where the projector was trained on
            images with black and white swapped, they swap them too (a negative `std`).
        provenance: what made it: `teacher`, `dataset`, `held_out_classes` and more, as JSON values.
    """

    spec: TransformerSpec
    weights: Weights
    classes: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    provenance: dict[str, Any]

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Normalised images `[N, C, H, W]` to logits `[N, K]`, as the timm model computes them."""
        weights = {name: tensor[None] for name, tensor in self.weights.items()}
        return forward_students(self.spec, weights, images[None])[0]

    def to_timm(self) -> VisionTransformer:
        """The model as timm's, in eval mode; its `pretrained_cfg` holds `label_names`, `mean` and `std`."""
        return export_student(self.spec, self.weights, self.classes, self.mean, self.std)

    def save(self, folder: Path | str) -> None:
        """Write the model's folder, whole or not at all; what was there is replaced."""
        state = {name: tensor.contiguous() for name, tensor in timm_state(self.spec, self.weights).items()}
        config = json.dumps(self._timm_config(), indent=2, ensure_ascii=False) + "\n"
        files = {CONFIG: config.encode(), WEIGHTS: save(state, metadata={"format": "pt"})}
        described = {
            "spec": self.spec.to_json(),
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "provenance": self.provenance,
        }
        card = model_card(self.spec, self.classes, self.provenance)
        files |= {MANIFEST: sealed(KIND, described, files), CARD: card.encode()}
        with write_atomically(Path(folder)) as temporary:
            temporary.mkdir()
            for name, content in files.items():
                (temporary / name).write_bytes(content)

    def _timm_config(self) -> dict[str, Any]:
        """What timm itself writes for this model; a test holds the two to each other."""
        spec, num_classes = self.spec, len(self.classes)
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
                "mean": list(self.mean),
                "std": list(self.std),
                "pool_size": None,
                "label_names": list(self.classes),
                "custom_load": False,
            },
        }


def load_student(folder: Path | str) -> Student:
    """Read a model's folder.

    Raises:
        InputError: the folder is no model of projpipe, or a file of it is missing, truncated or changed.
    """
    folder = Path(folder)
    mend = "make it again with `projpipe generate`, or fetch it again"
    manifest, files = open_sealed(folder, KIND, [CONFIG, WEIGHTS], mend)
    try:
        spec = TransformerSpec.from_json(manifest["spec"])
        weights = from_timm_state(spec, load(files[WEIGHTS]))
        described = [manifest[key] for key in ("classes", "mean", "std", "provenance")]
    except (KeyError, RuntimeError, SafetensorError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} does not describe {WEIGHTS}: {error}; {mend}") from error
    return Student(spec, weights, *described)
