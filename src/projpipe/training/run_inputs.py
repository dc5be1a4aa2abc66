"""What a training run reads, staged as files, so that workers anywhere find the same inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

import projpipe
from projpipe.atomic import write_atomically
from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.images.stored import read_images, write_images
from projpipe.images.streamed import Images
from projpipe.objectives import Objective, objective_from_json
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.projection.source import Source
from projpipe.tensors import starting_with
from projpipe.training.batches import LabelledImages, TrainingData
from projpipe.transformer.spec import TransformerSpec

TENSORS, SETTINGS, IMAGES = "inputs.safetensors", "inputs.json", "images"
# The code that decides what training makes.
TRAINING_PACKAGES = (
    "experiments",
    "images",
    "methods",
    "objectives",
    "projection",
    "tasks",
    "teacher",
    "training",
    "transformer",
)
TRAINED_BY = ("metric.py", "tensors.py")


@dataclass(frozen=True)
class RunInputs:
    """The data and the source that a training run learns from, and the parameters to do it with.

    `logits` are the teacher's, `labels` [N] the class of every image, and `images` uint8 `[N, H, W, C]`, packed or
    streamed. `validation_tasks` are of known classes; by `new_class_validation_tasks` learning rates are chosen, and
    nothing in a run. `train_weights` say how often each train task is drawn; all equally often if empty.
    """

    config: TrainProjectorConfig
    objective: Objective
    source: Source
    logits: TeacherLogits
    labels: Tensor
    train_tasks: Sequence[Sequence[int]]
    validation_tasks: Sequence[Sequence[int]]
    images: Images
    images_sha256: str
    new_class_validation_tasks: Sequence[Sequence[int]] = ()
    train_weights: Sequence[float] = ()

    def _tensors(self) -> dict[str, Tensor]:
        """The source (`weights.*`, `statistics.*`), the teacher's logits (`logits.*`), and `labels`."""
        logits = self.logits.to_tensors()
        parts = {"weights": self.source.weights, "statistics": self.source.statistics, "logits": logits}
        named = {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}
        return {**named, "labels": self.labels}

    def _settings(self) -> dict[str, object]:
        return {
            "spec": self.source.spec.to_json(),
            "train_tasks": [list(map(int, task)) for task in self.train_tasks],
            "train_weights": list(self.train_weights),
            "validation_tasks": [list(map(int, task)) for task in self.validation_tasks],
            "objective": self.objective.to_json(),
            "images_sha256": self.images_sha256,
        }

    def stage(self, runs: Path, kind: str, decided_by: Mapping[str, object]) -> str:
        """Write the inputs into a folder of `runs`, whose name their content decides, and return that name.

        Args:
            kind: what the run does; the name starts with it.
            decided_by: all else that decides what the run makes.
        """
        tensors = save({name: tensor.contiguous() for name, tensor in sorted(self._tensors().items())})
        settings = json.dumps([self._settings(), decided_by], sort_keys=True)
        name = f"{kind}-{digest_of(tensors + settings.encode())}"
        folder = runs / name
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomically(folder / TENSORS) as temporary:
            temporary.write_bytes(tensors)
        # Images are read where they lie; those that lie nowhere are written beside the rest.
        path = getattr(self.images, "filename", None)
        if path is None:
            with write_atomically(folder / IMAGES) as temporary:
                temporary.mkdir()
                path = folder / IMAGES / write_images(self.images, temporary).name
        with write_atomically(folder / SETTINGS) as temporary:
            found = {"images": str(Path(path).resolve()), "code": source_code_digest()}
            temporary.write_text(json.dumps({**found, **self._settings()}))
        return name


def deciding(config: TrainProjectorConfig, learning_rate: float) -> dict[str, object]:
    """What of a config decides what training makes: not where it runs, nor what other methods need."""
    where_it_runs = {"address", "max_failures", "cpus_per_worker", "loading_workers"}
    for_rates = {"learning_rates": True, "rate_search": True, "schedules": True}
    kept = config.model_dump(mode="json", exclude={**for_rates, "ray": where_it_runs})
    return {**kept, "learning_rate": learning_rate}


def digest_of(content: bytes, *judges: str) -> str:
    """A name for what this content and the code that trains make of it; for `judges` see `source_code_digest`."""
    return hashlib.sha256(content + source_code_digest(*judges).encode()).hexdigest()[:16]


def load_staged(folder: Path) -> tuple[TrainingData, Source]:
    """Read what `RunInputs.stage` wrote.

    Raises:
        InputError: this process has loaded other code than the one that staged it, so that the run's name is not that
            of what it would make.
    """
    settings = json.loads((folder / SETTINGS).read_text())
    if settings["code"] != source_code_digest():
        raise InputError(
            f"{Path(projpipe.__file__).parent}: its code is not that of the process that started this run; leave it as "
            "it is while a run goes on, have the same on all machines, and start the run again"
        )
    tensors = load_file(folder / TENSORS)
    logits = TeacherLogits.from_tensors(starting_with("logits.", tensors))
    images = read_images(Path(settings["images"]))
    spec = TransformerSpec.from_json(settings["spec"])
    source = Source(spec, starting_with("weights.", tensors), starting_with("statistics.", tensors))
    objective = objective_from_json(settings["objective"])

    def split(name: str, taught: tuple[Tensor, Tensor | None] | None = None) -> LabelledImages:
        ids = logits.image_ids[name]
        return LabelledImages(objective, images, ids, tensors["labels"][ids], source.num_classes, *(taught or ()))

    data = TrainingData(
        split("train", (logits.train_logits, logits.train_affine)),
        split("validation"),
        split("test"),
        settings["train_tasks"],
        settings["train_weights"],
        settings["validation_tasks"],
    )
    return data, source


@cache
def source_code_digest(*judges: str) -> str:
    """A digest of the code that trains, so that a changed method never goes on from an old checkpoint.

    It is taken once a process, so that an edit does not rename what is being made.

    Args:
        judges: subpackages that decide besides, where what is kept is measured and not trained.
    """
    package = Path(projpipe.__file__).parent
    paths = [package / name for name in TRAINED_BY]
    paths += [path for name in (*TRAINING_PACKAGES, *judges) for path in (package / name).rglob("*.py")]
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()
