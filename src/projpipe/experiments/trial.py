"""One trial of a comparison: one method trained with one seed, judged, and what it cost in operations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from projpipe.atomic import write_atomically
from projpipe.checksums import changed_of, list_files
from projpipe.config import StudentConfig, TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.experiments.outcome import ImageScores, Outcome, task_mean
from projpipe.methods.controls import CONTROLS, control_embeddings
from projpipe.methods.flops import flops_per_step, flops_to_make
from projpipe.methods.method import Ingredients, Method
from projpipe.methods.models import build
from projpipe.methods.registry import METHODS
from projpipe.methods.task_model import TaskModel
from projpipe.objectives.batch import Batch
from projpipe.projection.source import Source
from projpipe.record import from_json, to_json
from projpipe.tasks.task import median_by_size
from projpipe.tensors import starting_with
from projpipe.training.batches import LabelledImages, TrainingData, draw_batch
from projpipe.training.history import HistoryRow
from projpipe.training.progress import note_progress
from projpipe.training.run_inputs import deciding, digest_of, load_staged
from projpipe.training.seeds import FINISHED, SOURCE_IMAGES, Worker, train_seeds
from projpipe.training.state import Checkpoint
from projpipe.training.student_trainer import image_scores
from projpipe.training.threads import use_threads
from projpipe.transformer.spec import TransformerSpec

JudgedTasks = Sequence[tuple[list[int], str]]  # class ids of each task, and what sort of task it is


@dataclass(frozen=True)
class Trial:
    """One method of one table with one seed; `row` is what the table calls it."""

    table: str
    row: str
    method: str
    config: TrainProjectorConfig
    learning_rate: float
    controls: bool
    start: Trial | None = None  # the one whose trained model it starts from, where its method starts from one
    size: StudentConfig | None = None  # the one that its row is of, where its models have many sizes; else the largest
    sizes: tuple[StudentConfig, ...] = ()  # those that all rows of its training are of, but for the largest

    @property
    def seed(self) -> int:
        return self.config.seeds[0]

    @property
    def key(self) -> tuple[str, str, int]:
        """Which of a comparison's trials it is."""
        return self.table, self.row, self.seed

    @property
    def place(self) -> str:
        """Where it stands among the parameters, for errors."""
        return f"compare_methods.comparisons, table {self.table!r}, row {self.row!r}"

    def file(self) -> str:
        """Names the file of its outcome by all that decides it, besides what was staged."""
        decided_by = deciding(self.config, self.learning_rate)
        start = [] if self.start is None else [self.start.file()]
        sizes = [size.model_dump() for size in self.sizes]
        content = json.dumps([self.method, self.controls, decided_by, *start, *sizes], sort_keys=True)
        return f"{self.method}-{digest_of(content.encode())}.json"

    def model_file(self) -> str:
        """Where its trained model is, if it is one that others start from."""
        return Path(self.file()).with_suffix(".safetensors").name

    def files(self) -> list[str]:
        """Those of its outcome, and of its model where others start from it."""
        return [self.file(), *[self.model_file()] * METHODS[self.method].shared]

    def checksums_file(self) -> str:
        """Where the checksums of its files are."""
        return Path(self.file()).with_suffix(".sha256").name

    def is_finished(self, folder: Path) -> bool:
        """Whether all that comes of it is there."""
        return all((folder / file).exists() for file in (*self.files(), self.checksums_file()))

    def keep(self, folder: Path, outcome: Outcome) -> None:
        """Write its outcome beside its model, and the checksums of both."""
        with write_atomically(folder / self.file()) as temporary:
            temporary.write_text(json.dumps(to_json(outcome)))
        with write_atomically(folder / self.checksums_file()) as temporary:
            list_files(temporary, [folder / file for file in self.files()], folder)

    def outcome(self, folder: Path) -> Outcome:
        """What `keep` wrote; an InputError names a file that was changed since."""
        listing = folder / self.checksums_file()
        listed = listing.read_text(errors="replace")
        if changed := changed_of(listing, folder) if all(file in listed for file in self.files()) else listing:
            raise InputError(f"{changed}: was changed, its checksum differs; delete it, and the trial is trained anew")
        return from_json(Outcome, json.loads((folder / self.file()).read_text()))

    def progress_file(self) -> str:
        """Where it says how far it is, while it is trained."""
        return Path(self.file()).with_suffix(".progress").name


def run_trial(
    folder: Path, trial: Trial, judged: JudgedTasks, sampled: list[list[int]], device: torch.device
) -> Outcome:
    """Train one method with one seed on what was staged in a folder, and judge it.

    Args:
        judged: the held-out tasks.
        sampled: those of them that methods which train a model per task are trained for.
    """
    use_threads(1)
    data, source = load_staged(folder)
    method, config = METHODS[trial.method], trial.config
    if method.per_task:
        judged = [(task, "sampled") for task in sampled]
        data = replace(data, train_tasks=sampled, train_weights=(), validation_tasks=sampled)
        config = _per_task_config(method, config, len(sampled))

    shared = None if trial.start is None else _trained(folder, trial.start, source).generator

    def make(seed: int) -> TaskModel:
        given = Ingredients(source, trial.config, seed, sampled, data.train.examples, shared=shared)
        return build(trial.method, given)

    history: list[HistoryRow] = []
    last = Checkpoint()

    def save(checkpoint: Checkpoint) -> None:
        nonlocal last
        last = checkpoint  # of the last call: the finished model

    def progress(row: HistoryRow) -> None:
        history.append(row)
        note_progress(folder / trial.progress_file(), row, data.objective.metric)

    model = make(trial.seed)
    worker = Worker(device=device)
    train_seeds(lambda _: deepcopy(model), data, config, trial.learning_rate, worker, None, save, progress)
    model = model.to(device)
    tasks = [task for task, _ in judged]
    judge = partial(_scores, data=data.test, tasks=tasks, device=device)
    scores = {method.untrained_row[0]: judge(model)[0]} if method.untrained_row is not None else {}
    of_a_step = flops_per_step(model, _first_batch(model, data, config).to(device))
    trained = starting_with(f"{FINISHED}{trial.seed}.", last.tensors)
    if method.shared:
        with write_atomically(folder / trial.model_file()) as temporary:
            save_file(trained, temporary)
    model.load_state_dict(trained)
    model.eval().precompute()
    rows = ["method", *map(row_of_size, trial.sizes)]
    specs = [model.generator.spec, *(source.spec.student(**size.model_dump()) for size in trial.sizes)]
    scores |= dict(zip(rows, judge(model, sizes=specs), strict=True))
    if trial.controls:
        sorts = [sort for _, sort in judged]
        for control in CONTROLS:
            told = control_embeddings(
                control, model.embed, tasks, sorts, data.train_tasks, trial.seed, data.train_weights
            )
            scores[control] = judge(model, told=told)[0]
    on_validation = [task_mean(scores) for scores in _scores(model, data.validation, sampled, device)[0]]
    return Outcome(
        history=history,
        tasks=len(data.train_tasks),
        scores=scores,
        sampled_validation_score=sum(on_validation) / len(on_validation),
        flops_per_step=of_a_step,
        flops_to_make=flops_to_make(model, median_by_size(sampled), device),
    )


def row_of_size(size: StudentConfig) -> str:
    """What scores of a size are called among those of a trial."""
    return " x ".join(f"{value:g}" for value in size.model_dump().values())


def _trained(folder: Path, trial: Trial, source: Source) -> TaskModel:
    """The model that came of another trial."""
    model = build(trial.method, Ingredients(source, trial.config, trial.seed))
    model.load_state_dict(load_file(folder / trial.model_file()))
    return model.eval()


def _per_task_config(method: Method, config: TrainProjectorConfig, tasks: int) -> TrainProjectorConfig:
    """The config of a method with a model for each task: all of them learn in every step."""
    changes = {"tasks_per_step": tasks} | ({} if method.distils else {"distillation_weight": 0.0})
    return config.model_copy(update={"optimisation": config.optimisation.model_copy(update=changes)})


def _first_batch(model: TaskModel, data: TrainingData, config: TrainProjectorConfig) -> Batch:
    """A batch as the model learns from, to count the operations of a step."""
    return draw_batch(
        data,
        config.optimisation.tasks_per_step,
        config.optimisation.images_per_task,
        seed=(0,),
        source_images=SOURCE_IMAGES if model.tunes_source else 0,
    )


def _scores(
    model: TaskModel,
    data: LabelledImages,
    tasks: Sequence[Sequence[int]],
    device: torch.device,
    told: Sequence[Tensor] | None = None,
    sizes: Sequence[TransformerSpec] = (),
) -> list[list[ImageScores]]:
    """Scores on all images of every task's classes, of each size, of the largest if none is given.

    `told` are embeddings to replace its own.
    """
    found: list[list[ImageScores]] = [[] for _ in sizes or (model.generator.spec,)]
    with torch.no_grad():
        for i, task in enumerate(tasks):
            forward = partial(model, embedding=told[i][None] if told else None, sizes=sizes)
            counts = data.counts[list(task)].tolist()
            for of_size, scores in zip(found, image_scores(forward, data, task, device), strict=True):
                of_size.append([of_class.tolist() for of_class in scores.split(counts)])
    return found
