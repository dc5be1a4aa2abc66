"""The score of every task's model on the test images of the task's classes."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.transformer.objectives import Objective


def task_scores(
    specialise: Callable[[Sequence[int]], nn.Module],
    objective: Objective,
    read: Callable[[Tensor], Tensor],
    labels: Tensor,
    tasks: pd.DataFrame,
    batch_size: int = 256,
) -> pd.DataFrame:
    """The score of the model that `specialise` makes for each task.

    `read(rows)` gives encoded images [n, ...], `labels` [N] are class ids, `tasks` has the columns of `schemas.TASKS`;
    `specialise(classes)` gives a module in eval mode whose outputs are in the order of `classes`.
    Returns one row a task: task_id, task_name, kind, strategy, num_classes, images (how many were judged), score.
    Raises InputError for a task whose classes have no image.
    """

    def judge(classes: list[int], rows: Tensor, places: Tensor) -> Tensor:
        model, scores = specialise(classes), []
        with torch.inference_mode():
            for batch, at in zip(rows.split(batch_size), places.split(batch_size), strict=True):
                images = read(batch)
                scores.append(objective.scores(objective.logits(model, images), images, at))
        return torch.cat(scores)

    return _scores(judge, labels, tasks)


def masked_scores(objective: Objective, class_scores: Tensor, labels: Tensor, tasks: pd.DataFrame) -> pd.DataFrame:
    """The score on each task of one model for all classes, from its `class_scores` [N, K] of the task's classes.

    Returns the table of `task_scores`.
    """
    return _scores(
        lambda classes, rows, places: objective.masked_scores(class_scores[rows][:, classes], places), labels, tasks
    )


def _scores(judge: Callable[[list[int], Tensor, Tensor], Tensor], labels: Tensor, tasks: pd.DataFrame) -> pd.DataFrame:
    records = []
    for task in tasks.to_dict(orient="records"):
        classes = [int(class_id) for class_id in task["class_ids"]]
        rows = torch.isin(labels, torch.tensor(classes)).nonzero().flatten()
        if not len(rows):
            raise InputError(f"tasks: task {task['name']!r} has no image to be judged on; raise split.test")
        places = (labels[rows][:, None] == torch.tensor(classes)).int().argmax(1)
        records.append(
            {
                "task_id": task["task_id"],
                "task_name": task["name"],
                "kind": task["kind"],
                "strategy": task["strategy"],
                "num_classes": len(classes),
                "images": len(rows),
                "score": judge(classes, rows, places).double().mean().item(),
            }
        )
    return pd.DataFrame(records)
