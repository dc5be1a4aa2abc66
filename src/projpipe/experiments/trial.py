"""One part of a comparison: one method trained with one seed, judged, and what it cost in operations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.methods.controls import CONTROLS, control_embeddings
from projpipe.methods.per_task_models import PerTaskModels, random_starts, stacked
from projpipe.methods.pruning import prune_for_task, pruned_spec
from projpipe.methods.task_model import TaskModel, build
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.tasks.task import median_by_size
from projpipe.training.batches import LabelledImages, draw_batch, pad_tasks
from projpipe.training.progress import note_progress
from projpipe.training.run_inputs import deciding, digest_of, load_staged
from projpipe.training.seeds import SOURCE_IMAGES, Place, train_seeds
from projpipe.training.trainer import TrainingData, task_score
from projpipe.transformer.canonical import Weights, canonical_weights
from projpipe.transformer.export import export_student
from projpipe.transformer.spec import TransformerSpec

PER_TASK = ("scratch", "distilled", "pruned")
Judged = Sequence[tuple[list[int], str]]  # class ids of each task, and what sort of task it is
PRUNED_ONLY = "pruned_only"  # the row of the pruned teacher before it is trained
PRUNING_IMAGES = 64  # of every class, to rank units by


@dataclass(frozen=True)
class Part:
    """One method of one table with one seed; `name` is what the table calls it."""

    table: str
    name: str
    method: str
    config: TrainProjectorConfig
    learning_rate: float
    controls: bool

    @property
    def seed(self) -> int:
        return self.config.seeds[0]

    @property
    def place(self) -> str:
        """Where it stands among the parameters, for errors."""
        return f"compare_methods.comparisons, table {self.table!r}, row {self.name!r}"

    def file(self) -> str:
        """Names the file of its outcome by all that decides it, besides what was staged."""
        decided_by = deciding(self.config, self.learning_rate)
        content = json.dumps([self.method, self.controls, decided_by], sort_keys=True)
        return f"{self.method}-{digest_of(content.encode())}.json"

    def progress_file(self) -> str:
        """Where it says how far it is, while it is trained."""
        return Path(self.file()).with_suffix(".progress").name


def train_part(
    folder: Path, part: Part, judged: Judged, sampled: list[list[int]], device: torch.device
) -> dict[str, Any]:
    """Train one method with one seed on what was staged in a folder, and judge it.

    Args:
        judged: the held-out tasks.
        sampled: those of them that methods which train a model per task are trained for.

    Returns:
        `history`: as `train_seeds` reports it. `tasks`: on how many tasks it was trained.
        `scores`: {row: score of every judged task}. The row of the method itself is `method`; a pruned teacher
            has its score before training besides, the projector that of its controls.
        `sampled_validation_score`: mean over the sampled tasks, on validation images.
        `flops_per_step`, `flops_to_make`: of a training step, and of making the weights for one task.
    """
    torch.set_num_threads(1)
    data, source = load_staged(folder)
    config = part.config
    if part.method in PER_TASK:
        judged = [(task, "sampled") for task in sampled]
        data = replace(data, train_tasks=sampled, validation_tasks=sampled)
        schedule = {"tasks_per_step": len(sampled)} | ({"distillation_weight": 0.0} if part.method == "scratch" else {})
        config = config.model_copy(update={"optimisation": config.optimisation.model_copy(update=schedule)})
    make = partial(_start, part, source, sampled, data.train)
    history: list[dict[str, Any]] = []
    kept: dict[str, Tensor] = {}

    def save(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        nonlocal kept
        kept = tensors  # of the last call: the finished model

    def progress(row: dict[str, Any]) -> None:
        history.append(row)
        note_progress(folder / part.progress_file(), row, data.objective.metric)

    train_seeds(make, data, config, part.learning_rate, Place(device=device), None, save, progress)
    model = make(part.seed).to(device)
    tasks = [task for task, _ in judged]
    judge = partial(_scores, data=data.test, tasks=tasks, device=device)
    scores = {PRUNED_ONLY: judge(model)} if part.method == "pruned" else {}
    step_flops = flops_per_step(model, data, config, device)
    prefix = f"finished.{part.seed}."
    model.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in kept.items()})
    scores["method"] = judge(model.eval())
    if isinstance(operator := model.generator, ProjectionOperator):
        operator.precompute()
    if part.controls:
        for control in CONTROLS:
            sorts = [sort for _, sort in judged]
            told = control_embeddings(control, model.embed, tasks, sorts, data.train_tasks, part.seed)
            scores[control] = judge(model, told=told)
    return {
        "history": history,
        "tasks": len(data.train_tasks),
        "scores": scores,
        "sampled_validation_score": _mean(_scores(model, data.validation, sampled, device)),
        "flops_per_step": step_flops,
        "flops_to_make": _flops_to_make(model, median_by_size(sampled), device),
    }


def _start(part: Part, source: Source, sampled: list[list[int]], images: LabelledImages, seed: int) -> TaskModel:
    """The method of a part at its start."""
    if part.method not in PER_TASK:
        return build(part.method, source, part.config, seed)
    spec = source.spec.student(**part.config.student.model_dump())
    if part.method != "pruned":
        return TaskModel(PerTaskModels(spec, sampled, random_starts(spec, sampled, seed)))
    shape = pruned_shape(part, source.spec, sampled)
    return TaskModel(PerTaskModels(shape, sampled, _pruned(source, sampled, images, shape)))


def pruned_shape(part: Part, source: TransformerSpec, sampled: list[list[int]]) -> TransformerSpec:
    """To what the teacher is pruned: as many parameters as a student has for the median task.

    Raises:
        InputError: the student is smaller than pruning can make the teacher.
    """
    classes = len(median_by_size(sampled))
    student = source.student(**part.config.student.model_dump())
    try:
        return pruned_spec(source, classes, student.deployed_params(classes))
    except InputError as error:
        raise InputError(f"{part.place}: {error}") from error


def _pruned(source: Source, tasks: list[list[int]], images: LabelledImages, spec: TransformerSpec) -> Weights:
    """The teacher pruned for each task, with a leading axis `T`."""
    teacher = export_student(source.spec, source.weights)
    starts = []
    for task in tasks:
        rows = [images.rows_of_class(class_id)[:PRUNING_IMAGES] for class_id in task]
        labels = torch.arange(len(task)).repeat_interleave(torch.tensor(list(map(len, rows))))
        pruned = prune_for_task(teacher, images.read(torch.cat(rows)), labels, task, spec)
        starts.append(canonical_weights(pruned))
    return stacked(starts)


def _scores(
    model: TaskModel,
    data: LabelledImages,
    tasks: Sequence[Sequence[int]],
    device: torch.device,
    told: Sequence[Tensor] | None = None,
) -> list[float]:
    """Score on every task, on all images of its classes; `told` are embeddings to replace its own."""
    with torch.no_grad():
        return [
            task_score(partial(model, embedding=told[i][None]) if told else model, data, task, device)
            for i, task in enumerate(tasks)
        ]


def flops_per_step(model: TaskModel, data: TrainingData, config: TrainProjectorConfig, device: torch.device) -> int:
    """Operations of the forward and the backward pass of one step, a multiply-accumulate counted as two."""
    schedule = config.optimisation
    batch = draw_batch(
        data.train,
        data.train_tasks,
        schedule.tasks_per_step,
        schedule.images_per_task,
        seed=(0,),
        source_images=SOURCE_IMAGES if model.tunes_source else 0,
    ).to(device)
    with FlopCounterMode(display=False) as counter:
        outputs = model(**batch.inputs)
        sum(logits.sum() for logits in outputs if logits is not None).backward()
    model.zero_grad()
    return counter.get_total_flops()


def _flops_to_make(model: TaskModel, task: Sequence[int], device: torch.device) -> int:
    """Operations of making the weights of one model, for which no data is needed."""
    with FlopCounterMode(display=False) as counter:
        model.generator(*(tensor.to(device) for tensor in pad_tasks([task])))
    return counter.get_total_flops()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
