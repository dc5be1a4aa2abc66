"""What tests of several rooms make, each with the changes that matter to it."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits

from projpipe.config import (
    ExtractTeacherConfig,
    ImageFolderSource,
    SplitTasksConfig,
    SweepStudentsConfig,
    TrainProjectorConfig,
)
from projpipe.errors import LONGEST
from projpipe.experiments.sweep import Try, listed
from projpipe.images.dataset_card import DatasetCard
from projpipe.images.image_folder import read_image_folder
from projpipe.images.raw import RawImages
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.methods.task_model import TaskModel
from projpipe.metric import Metric
from projpipe.objectives import Classification
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.schemas import PARETO_FRONT
from projpipe.students.size_table import MeasuredSize, SizeTable
from projpipe.teacher.data import TeacherData
from projpipe.training.provenance import Run
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.seeds import Worker, train_seeds
from projpipe.training.state import Checkpoint
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

CONF = Path(__file__).parents[1] / "conf"
ENVIRONMENTS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "base")

CLASSIFIER = TransformerSpec(
    image_size=(8, 12),
    patch_size=4,
    in_chans=3,
    embed_dim=12,
    depth=2,
    num_heads=3,
    head_dim=4,
    mlp_dim=20,
    class_token=True,
    reg_tokens=0,
    pool="token",
    norm_after_pool=False,
)

TEACHER: dict[str, Any] = {
    "seed": 0,
    "objective": {"name": "classification"},
    "architecture": "vit_tiny_patch16_224",
    "weights": "random",
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "weight_decay": 0.0, "label_smoothing": 0.0},
    "augmentation": {"copies": 1, "rotation": 0.0, "translation": 0.0, "scale": 0.0, "shear": 0.0},
}

SPLIT_TASKS = SplitTasksConfig.model_validate(
    {
        "seed": 0,
        "source": {"name": "digits"},
        "split": {"validation": 0.2, "test": 0.2},
        "held_out_classes": {"count": 2},
        "tasks": [{"strategy": "random", "classes_per_task": [2, 4], "counts": {"train": 2}}],
    }
)
SWEEP_STUDENTS = SweepStudentsConfig.model_validate(
    {
        "seed": 0,
        "trials": 1,
        "sampler": "tpe",
        "images_per_class": 4,
        "listed": 3,
        "tolerance": 0.01,
    }
)


def tried_sizes(sizes: Sequence[tuple[int, int, int, int, int]], scores: Sequence[float]) -> list[Try]:
    """What came of sizes (width, depth, heads, hidden units, parameters); all but the last are on the front."""
    tries = []
    for position, ((*size, params), score) in enumerate(zip(sizes, scores, strict=True)):
        cost = {"params": params, "macs": 9 * params, "file_bytes": 4 * params, "latency_ms": params / 1e4}
        measured = MeasuredSize(*size, score, (0.9 * score, score), **cost)
        tries.append(Try(measured, within_limits=True, pareto=position < max(1, len(sizes) - 1)))
    return tries


def front_of(trials: pd.DataFrame) -> pd.DataFrame:
    """The sizes on the front, made by the projector, its first recommended, and by a universal model that is worse."""
    front = trials[trials["pareto"]].assign(method="projected", recommended=False).reset_index(drop=True)
    front.loc[0, "recommended"] = True
    worse = front.assign(method="universal", validation_score=0.98 * front["validation_score"], recommended=False)
    return pd.concat([front, worse], ignore_index=True)[list(PARETO_FRONT.columns)]


def size_table(tries: Sequence[Try], metric: Metric) -> SizeTable:
    """The table of what came of sizes."""
    sizes, recommended = listed(tries, 30, 0.05, metric)
    return SizeTable("0" * 64, metric.name, 3, 1, 1, "Linux x86_64", {"torch": "2.15.0"}, recommended, tuple(sizes))


RUN: Run = {
    "command": "kedro run --params '<script>'",
    "commit": "58463a1b2c3d",
    "code_sha256": "c0de" * 16,
    "dataset_sha256": "5f" * 32,
    "train_tasks_sha256": "7a" * 32,
    "teacher_sha256": "7e" * 32,
    "versions": {"torch": "2.15.0"},
    "processor": "AMD EPYC, AVX512",
    "threads": 2,
    "parameters": {"split_tasks": {"seed": 0}},
}


def teacher_config(**changes: Any) -> ExtractTeacherConfig:
    """How a teacher is made; a dictionary among the changes is merged into the one it names."""
    return ExtractTeacherConfig(**merged(TEACHER, changes))


def merged(defaults: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with changes; a dictionary among the changes is merged into the one it names."""
    within = {key: {**defaults.get(key, {}), **value} for key, value in changes.items() if isinstance(value, dict)}
    return {**defaults, **changes, **within}


def dataset_card(channels: int = 1, classes: str = "ab", **changes: Any) -> DatasetCard:
    """A card of 8x8 images whose classes are named by one letter each."""
    known: dict[str, Any] = {
        "name": "noise",
        "image_size": (8, 8),
        "inverted": False,
        "mean": (0.3,) * channels,
        "std": (0.4,) * channels,
        "groups": ("",) * len(classes),
        "held_out_classes": (),
        "images": {"train": 1},
        "unreadable": (),
        "sha256": "5f",
    }
    return DatasetCard(channels=channels, classes=tuple(classes), **{**known, **changes})


def read_folder(root: Path, image_size: int, grey: bool = False, **more: Any) -> RawImages:
    """The images of a folder, by the parameters of its source."""
    source = ImageFolderSource(name="image_folder", root=str(root), image_size=image_size, grey=grey, **more)
    return read_image_folder(source, Path())


def digits_data(splits: Mapping[str, int]) -> TeacherData:
    """Real digits, as many of each split as asked, in splits that are not in order."""
    count = sum(splits.values())
    images = (load_digits().images * 15).astype(np.uint8)[:count, :, :, None]
    shuffled = np.random.default_rng(0).permutation([split for split, size in splits.items() for _ in range(size)])
    index = pd.DataFrame({"image_id": np.arange(count), "class_id": load_digits().target[:count], "split": shuffled})
    card = dataset_card(classes="0123456789", name="digits", std=(0.35,), images=dict(splits))
    objective = Classification(card.mean, card.std, (1, 8, 8))
    return TeacherData(images, index, card, objective, torch.device("cpu"))


def task_model(method: str, source: Source, config: TrainProjectorConfig, seed: int = 0) -> TaskModel:
    return build(method, Ingredients(source, config, seed))


def shaken(model: TaskModel) -> TaskModel:
    """Move every parameter off its init, so that each term of the conditioning is at work."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model.eval()


def train_in_process(
    inputs: RunInputs, folder: Path, method: str, resume: Checkpoint | None = None
) -> list[Checkpoint]:
    """Train a method without Ray, at its rate of the config; all checkpoints, that of the finished models last."""
    config = inputs.config
    data, source = load_staged(folder / inputs.stage(folder, method, {}))
    data = replace(data, test=None)  # nothing of a training run may look at it
    saved: list[Checkpoint] = []

    def save(reached: Checkpoint) -> None:
        saved.append(Checkpoint(reached.state, {name: tensor.clone() for name, tensor in reached.tensors.items()}))

    def make(seed: int) -> TaskModel:
        return task_model(method, source, config, seed)

    rate = config.known_rates.get(method, 0.002)
    train_seeds(make, data, config, rate, Worker(), resume, save, lambda row: None)
    return saved


# --- what holds for any input

MOST_SECONDS, MOST_MEMORY = 10.0, 500 * 10**6  # what goes wrong here takes minutes, or all of the memory


@contextmanager
def within_limits() -> Iterator[None]:
    """Fail where the body takes more time of the processor, or more memory, than any input may."""
    reset = Path("/proc/self/clear_refs")  # of the peak, so that it is that of the body; only Linux has it
    before, started = 0, time.process_time()
    if reset.exists():
        reset.write_text("5")
        before = _memory("VmRSS")
    yield
    took, grown = time.process_time() - started, _memory("VmHWM") - before if reset.exists() else 0
    assert took <= MOST_SECONDS, f"{took:.1f} s"
    assert grown <= MOST_MEMORY, f"{grown:,} bytes"


def _memory(of: str) -> int:
    """Bytes of this process, in the words of Linux: VmRSS now, VmHWM at their peak."""
    found = re.search(rf"{of}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def is_one_short_line(message: str) -> bool:
    """Whether a message fits on a terminal, and changes nothing of it."""
    return message.isprintable() and 0 < len(message) <= LONGEST


DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CONDITIONINGS = {
    "projected": Conditioning(experts=3, film=True, task_embed_dim=8),
    "FiLM": Conditioning(experts=0, film=True, task_embed_dim=8),
    "experts": Conditioning(experts=3, film=False, task_embed_dim=8),
    "static": Conditioning.none(),
}


def make_projector(
    source: Source,
    conditioning: Conditioning = CONDITIONINGS["projected"],
    tuned: bool = False,
    class_map: bool = False,
) -> Projector:
    """A projector with every parameter off its init, so that each term of the conditioning is at work."""
    student = source.spec.student(12, 2, 2, 1.5)
    operator = ProjectionOperator(source, student, conditioning, 0, tuned=tuned, class_map=class_map)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    objective = Classification([0.3], [0.35], (1, 8, 8))
    return Projector(operator.eval(), objective, {"classes": DIGITS}, {"seed": 0})


def measured_size(spec: TransformerSpec, score: float, latency_ms: float = 0.5) -> MeasuredSize:
    """What a table says of a size of models for three classes."""
    params, macs = spec.deployed_params(3), spec.deployed_macs(3)
    sizes = spec.embed_dim, spec.depth, spec.num_heads, spec.mlp_dim
    return MeasuredSize(*sizes, score, (score - 0.01, score + 0.01), params, macs, 4 * params, latency_ms)


def elastic(projector: Projector, measured: bool = True) -> Projector:
    """A projector of one size as one of many, whose table of three recommends the one in the middle."""
    largest = projector.operator.spec
    small, middle = largest.resized(8, 1, 2, 8), largest.resized(12, 1, 2, 12)
    sizes = measured_size(small, 0.7, 0.1), measured_size(middle, 0.9, 0.2), measured_size(largest, 0.8, 0.3)
    versions = {"torch": "2.9"}
    table = SizeTable("0" * 64, "accuracy", 3, 1, 1, "a machine of old", versions, recommended=1, sizes=sizes)
    of_sizes, generator = SizeOffsets(Sizes(small, largest)), torch.Generator().manual_seed(5)
    with torch.no_grad():
        for offsets in of_sizes.parameters():
            offsets.copy_(torch.randn(offsets.shape, generator=generator) * 0.05)
    return replace(projector, of_sizes=of_sizes, size_table=table if measured else None)
