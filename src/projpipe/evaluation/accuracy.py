"""Top-1 accuracy of every task's model on the test images of the task's classes."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.errors import InputError


def task_accuracies(
    specialise: Callable[[Sequence[int]], nn.Module],
    images: Tensor,
    labels: Tensor,
    tasks: pd.DataFrame,
    batch_size: int = 256,
) -> pd.DataFrame:
    """Accuracy of the model that `specialise` makes for each task.

    `images` [N, C, H, W] are normalised, `labels` [N] are class ids, `tasks` has the columns of `schemas.TASKS`;
    `specialise(classes)` gives a module in eval mode whose logits [B, len(classes)] are in the order of `classes`.
    Returns one row a task: task_id, task_name, kind, strategy, num_classes, images (how many were judged), accuracy
    (0..1).
    Raises InputError for a task whose classes have no image.
    """

    def predict(classes: list[int], rows: Tensor) -> Tensor:
        model = specialise(classes)
        with torch.inference_mode():
            return torch.cat([model(images[batch]).argmax(1) for batch in rows.split(batch_size)])

    return _accuracies(predict, labels, tasks)


def masked_accuracies(logits: Tensor, labels: Tensor, tasks: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on each task of one model for all classes, whose logits [N, K] are masked to the task's classes.

    Returns the table of `task_accuracies`.
    """
    return _accuracies(lambda classes, rows: logits[rows][:, classes].argmax(1), labels, tasks)


def _accuracies(predict: Callable[[list[int], Tensor], Tensor], labels: Tensor, tasks: pd.DataFrame) -> pd.DataFrame:
    records = []
    for task in tasks.to_dict(orient="records"):
        classes = [int(class_id) for class_id in task["class_ids"]]
        rows = torch.isin(labels, torch.tensor(classes)).nonzero().flatten()
        if not len(rows):
            raise InputError(f"tasks: task {task['name']!r} has no image to be judged on; raise split.test")
        hits = torch.tensor(classes)[predict(classes, rows)] == labels[rows]
        records.append(
            {
                "task_id": task["task_id"],
                "task_name": task["name"],
                "kind": task["kind"],
                "strategy": task["strategy"],
                "num_classes": len(classes),
                "images": len(rows),
                "accuracy": hits.double().mean().item(),
            }
        )
    return pd.DataFrame(records)
