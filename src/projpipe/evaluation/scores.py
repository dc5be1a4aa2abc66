"""The score of every task's model on the test images of the task's classes."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import pandas as pd
import torch
from torch import Tensor, nn

from projpipe.errors import InputError
from projpipe.objectives import Objective

Maker = TypeVar("Maker", bound=Hashable)


def task_scores(
    specialisers: Mapping[Maker, Callable[[Sequence[int]], nn.Module]],
    objective: Objective,
    read: Callable[[Tensor], Tensor],
    labels: Tensor,
    tasks: pd.DataFrame,
    batch_size: int = 256,
) -> dict[Maker, pd.DataFrame]:
    """The scores of the models that each of `specialisers` makes; an image is read once a task, for all of them.

    `read(rows)` gives encoded images [n, ...], `labels` [N] are class ids, `tasks` has the columns of `schemas.TASKS`;
    a specialiser gives, for a list of classes, a module in eval mode whose outputs are in their order.
    Returns for each one row a task: task_id, task_name, kind, strategy, class_ids, num_classes, images (how many were
    judged), score, and `image_scores`, of every image, class by class.
    Raises InputError for a task whose classes have no image.
    """

    def judge(classes: list[int], rows: Tensor, targets: Tensor) -> dict[Maker, Tensor]:
        models = {maker: specialise(classes) for maker, specialise in specialisers.items()}
        scores: dict[Maker, list[Tensor]] = {maker: [] for maker in models}
        with torch.inference_mode():
            for some_rows, some_targets in zip(rows.split(batch_size), targets.split(batch_size), strict=True):
                images = read(some_rows)
                for maker, model in models.items():
                    scores[maker].append(objective.scores(objective.logits(model, images), images, some_targets))
        return {maker: torch.cat(of_maker) for maker, of_maker in scores.items()}

    return _scores(judge, list(specialisers), labels, tasks)


def masked_scores(objective: Objective, class_scores: Tensor, labels: Tensor, tasks: pd.DataFrame) -> pd.DataFrame:
    """The score on each task of one model for all classes, from its `class_scores` [N, K] of the task's classes.

    Returns a table as those of `task_scores`.
    """

    def judge(classes: list[int], rows: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"masked": objective.masked_scores(class_scores[rows][:, classes], targets)}

    return _scores(judge, ["masked"], labels, tasks)["masked"]


def images_of_task(labels: Tensor, classes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Rows of `labels` [N] that are of a task's classes, and their targets: positions among `classes`."""
    asked = torch.tensor(classes)
    rows = torch.isin(labels, asked).nonzero().flatten()
    return rows, (labels[rows][:, None] == asked).int().argmax(1)


def _scores(
    judge: Callable[[list[int], Tensor, Tensor], dict[Maker, Tensor]],
    makers: Sequence[Maker],
    labels: Tensor,
    tasks: pd.DataFrame,
) -> dict[Maker, pd.DataFrame]:
    records: dict[Maker, list[dict[str, object]]] = {maker: [] for maker in makers}
    for task in tasks.to_dict(orient="records"):
        classes = [int(class_id) for class_id in task["class_ids"]]
        rows, targets = images_of_task(labels, classes)
        if not len(rows):
            raise InputError(f"tasks: task {task['name']!r} has no image to be judged on; raise split.test")
        described = {
            "task_id": task["task_id"],
            "task_name": task["name"],
            "kind": task["kind"],
            "strategy": task["strategy"],
            "class_ids": classes,
            "num_classes": len(classes),
            "images": len(rows),
        }
        for maker, scores in judge(classes, rows, targets).items():
            of_images = [scores[targets == position].tolist() for position in range(len(classes))]
            records[maker].append({**described, "score": scores.double().mean().item(), "image_scores": of_images})
    return {maker: pd.DataFrame(of_maker) for maker, of_maker in records.items()}
