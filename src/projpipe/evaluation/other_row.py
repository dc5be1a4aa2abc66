"""What tells images of a task's classes from all others: a learned row beside those of a classifier's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from projpipe.objectives.classification import OWN_KEPT

DIGITS = 4  # of what is kept


@dataclass(frozen=True)
class Seen:
    """What a model shows of some images: the energy score of its logits `[N]`, and what its head reads `[N, d]`."""

    energy: Tensor
    features: Tensor

    def evidence(self, row: Tensor) -> Tensor:
        """What speaks for any of the model's classes, `[N]`: its energy score less what a row `[d]` reads."""
        return self.energy - self.features @ row


@dataclass(frozen=True)
class OfTask:
    """What a task's model shows of images of its classes, of other classes (none if the task has all), and of noise."""

    own: Seen
    others: Seen
    noise: Seen


def fit_other_row(tasks: Sequence[OfTask]) -> Tensor:
    """A row `[d]` for the models of all tasks, by logistic regression of what is a task's own on energy and features.

    Tasks weigh the same, and so do a task's own images and the rest of them.
    """
    from sklearn.linear_model import LogisticRegression

    inputs, is_own, weights = [], [], []
    for task in tasks:
        rest = [seen for seen in (task.others, task.noise) if len(seen.energy)]
        for seen, share in ((task.own, 1.0), *((seen, 1 / len(rest)) for seen in rest)):
            inputs.append(torch.cat([seen.energy[:, None], seen.features], 1).numpy())
            is_own.append(np.full(len(seen.energy), seen is task.own))
            weights.append(np.full(len(seen.energy), share / len(seen.energy)))
    weight = np.concatenate(weights)
    fitted = LogisticRegression(max_iter=1000).fit(
        np.concatenate(inputs), np.concatenate(is_own), weight * len(weight) / weight.sum()
    )
    of_energy, *of_features = fitted.coef_[0].tolist()
    if of_energy <= 0:  # the energy says nothing of these models, and cannot be what the rest is measured in
        return torch.zeros(len(of_features))
    return torch.tensor([round(-value / of_energy, DIGITS) for value in of_features])


def threshold_of(tasks: Sequence[OfTask], row: Tensor) -> float:
    """The evidence that `OWN_KEPT` of a task's own images reach, in the mean over tasks."""
    reached = [task.own.evidence(row).quantile(1 - OWN_KEPT).item() for task in tasks]
    return round(float(np.mean(reached)), DIGITS)


def kept(images: Sequence[Seen], row: Tensor, threshold: float) -> float | None:
    """The share of images that are not below a threshold, in the mean over tasks; None where there are none."""
    shares = [float((seen.evidence(row) >= threshold).float().mean()) for seen in images if len(seen.energy)]
    return round(float(np.mean(shares)), DIGITS) if shares else None
