"""What a trained projector's students of one size are like: their scores on validation tasks, and their latency."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.evaluation.scores import masked_scores, task_scores
from projpipe.evaluation.summary import mean_score
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Classification, Objective
from projpipe.objectives.classification import OWN_KEPT, energy_score
from projpipe.students.size_table import MeasuredSize
from projpipe.students.stopwatch import time_of
from projpipe.tasks.task import median_by_size
from projpipe.transformer.spec import TransformerSpec

MOST_IMAGES = 200  # of a task, and of other classes, that an energy threshold is measured on


@dataclass(frozen=True)
class SizeJudge:
    """Judges students on validation tasks.

    Args:
        objective: says what is judged.
        read: rows of `labels` to encoded images `[n, ...]`.
        labels: class ids `[N]` of validation images; `limited` leaves out what is more than so many of a class.
        tasks: the validation tasks, with the columns of `schemas.TASKS`.
        batch, threads: of the forward pass whose latency is measured.
    """

    objective: Objective
    read: Callable[[Tensor], Tensor]
    labels: Tensor
    tasks: pd.DataFrame
    batch: int
    threads: int

    @property
    def classes(self) -> list[int]:
        """Those of the task in the middle by its number of classes: sizes and speeds are of its models."""
        return list(map(int, median_by_size(list(self.tasks["class_ids"]))))

    def measure(self, model: TaskModel, size: TransformerSpec) -> MeasuredSize:
        """A size of a model's students."""
        score, interval = self.score(model, size)
        student = model.specialise(self.classes, size=size)
        images = self.objective.blank(self.batch)
        taken = time_of(partial(self.objective.logits, student, images), self.threads)
        return MeasuredSize(
            size.embed_dim,
            size.depth,
            size.num_heads,
            size.mlp_dim,
            score,
            interval,
            params=_parameters(student),
            macs=size.deployed_macs(len(self.classes)),
            file_bytes=_file_bytes(student),
            latency_ms=taken["median_ms"],
            undisturbed_ms=taken["undisturbed_ms"],
        )

    def score(self, model: TaskModel, size: TransformerSpec) -> tuple[float, tuple[float, float]]:
        """The mean over tasks, and its 95 % interval."""
        specialise = partial(model.specialise, size=size)
        scores = task_scores({0: specialise}, self.objective, self.read, self.labels, self.tasks)[0]
        return mean_score(scores, self.objective.metric)

    @torch.inference_mode()
    def energy_threshold(self, model: TaskModel, size: TransformerSpec) -> tuple[float | None, float | None]:
        """The energy score that `OWN_KEPT` of a task's images reach, and the share of other classes' that do too.

        Both are means over the tasks. None for models that are no classifiers.
        """
        if not isinstance(self.objective, Classification):
            return None, None
        own: list[Tensor] = []
        others: list[Tensor] = []
        for classes in self.tasks["class_ids"]:
            student = model.specialise(list(map(int, classes)), size=size)
            of_task = torch.isin(self.labels, torch.tensor(classes))
            for rows, scores in ((of_task.nonzero().flatten(), own), ((~of_task).nonzero().flatten(), others)):
                some = rows[:: -(-len(rows) // MOST_IMAGES)]
                scores.append(energy_score(self.objective.logits(student, self.read(some))))
        threshold = round(torch.cat(own).quantile(1 - OWN_KEPT).item(), 4)
        kept = [float((scores >= threshold).float().mean()) for scores in others if len(scores)]
        return threshold, round(sum(kept) / len(kept), 4) if kept else None

    def teacher_row(self, teacher: nn.Module) -> dict[str, object]:
        """The teacher, held to the classes of each task, as a row of `schemas.PARETO_FRONT`."""
        spec, images = TransformerSpec.of(teacher), self.objective.blank(self.batch)
        latency = time_of(partial(self.objective.logits, teacher, images), self.threads)
        return {
            "method": "teacher",
            "embed_dim": spec.embed_dim,
            "depth": spec.depth,
            "num_heads": spec.num_heads,
            "mlp_dim": spec.mlp_dim,
            "params": _parameters(teacher),
            "latency_ms": latency["median_ms"],
            "validation_score": self._teacher_score(teacher),
            "recommended": False,
        }

    def _teacher_score(self, teacher: nn.Module) -> float:
        rows = torch.arange(len(self.labels))
        with torch.inference_mode():
            of_images = [self.objective.class_scores(teacher, self.read(some)) for some in rows.split(256)]
        scores = masked_scores(self.objective, torch.cat(of_images), self.labels, self.tasks)
        return mean_score(scores, self.objective.metric)[0]


def limited(labels: Tensor, count: int) -> Tensor:
    """Rows of `labels` `[N]`, at most the first `count` of each class, in order."""
    seen = np.zeros(int(labels.max()) + 1, dtype=int)
    kept = []
    for row, label in enumerate(labels.tolist()):
        seen[label] += 1
        if seen[label] <= count:
            kept.append(row)
    return torch.tensor(kept)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _file_bytes(model: nn.Module) -> int:
    """How large a model's weights are in a file."""
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    return len(save(tensors, metadata={"format": "pt"}))
