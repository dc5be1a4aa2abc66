"""Experts: weights that are added to every student's, mixed by its task.

    W(t) = W + sum_k c_k(t) B_k

The experts `B_k` are zero at the start, so that training starts at the static projection. The mixture `c(t)` is not, so
that each expert learns from its own sort of tasks from the first step on. Experts are merged, not chosen among, as in
Muqeeth, Liu, Raffel, Soft Merging of Experts with Adaptive Routing (arXiv 2306.03745).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from projpipe.projection.initialisation import evenly_spaced
from projpipe.projection.task_encoder import class_features

SHARPNESS = 8.0  # of the softmax over cosines that says to which clusters a class belongs


class TaskMixture(nn.Module):
    """Say of a set of classes how much of each expert it gets.

    Every expert stands for a cluster of the source's classes. A class belongs to clusters by the cosine of its features
    with their centres; a task has the mean of its classes, less that of all classes there are. So a task of all sorts
    of classes gets next to nothing of any expert.

    Args:
        table: what the source's weights say of each class, `[K, d]`.
        experts: how many there are.
        seed: of the clustering; None takes evenly spaced classes for centres, where these will be replaced.
    """

    features: Tensor

    def __init__(self, table: Tensor, experts: int, seed: int | None) -> None:
        super().__init__()
        features = F.normalize(class_features(table), dim=-1)
        self.register_buffer("features", features)
        self.centres = nn.Parameter(_centres(features, experts, seed))
        self.log_sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())

    def forward(self, classes: Tensor, mask: Tensor) -> Tensor:
        """Class ids `[T, K]` with a mask `[T, K]` of those that count, to mixtures `[T, experts]`."""
        cosines = self.features @ F.normalize(self.centres, dim=-1).mT
        belongs = (cosines * self.log_sharpness.exp()).softmax(-1)
        each = (belongs - belongs.mean(0))[classes] * mask[..., None]
        return each.sum(1) / mask.sum(1, keepdim=True)


def _centres(features: Tensor, count: int, seed: int | None) -> Tensor:
    """Centres `[count, d]` of the features of classes `[K, d]`, by k-means."""
    if seed is None or count >= len(features):
        return features[evenly_spaced(len(features), count)].clone()
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # several add up in the order in which they end
        found = KMeans(count, n_init=10, random_state=seed).fit(features.numpy()).cluster_centers_
    return torch.from_numpy(found).float()
