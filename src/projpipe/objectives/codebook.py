"""From the config of tokens to tokens that fit the images at hand. Only this needs scikit-learn, to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.errors import InputError
from projpipe.images.normalisation import normalise
from projpipe.objectives.tokens import Tokens

if TYPE_CHECKING:
    from projpipe.config import ImageModelingConfig
    from projpipe.images.streamed import Images

PLACE = "extract_teacher.objective.tokens"
PATCHES = 200_000  # at most so many are looked at for a codebook


def fit_tokens(config: ImageModelingConfig, images: Images, rows: np.ndarray, seed: int) -> Tokens:
    """The tokens that a config asks for, of images uint8 `[N, H, W, C]`; only the `rows` are looked at.

    A codebook with an entry for every patch there can be holds exactly these; else it is found by k-means.

    Raises:
        InputError: images are not grey, patches do not divide them, or the codebook is larger than it has patches for.
    """
    asked = config.tokens
    if images.shape[-1] != 1:
        raise InputError(
            f"extract_teacher.objective: image_modeling is for grey images, these have {images.shape[-1]} channels; "
            "set split_tasks.source.grey to true"
        )
    height, width = images.shape[1:3]
    size = (asked.image_size or height, asked.image_size or width)
    if asked.kind == "pixels":
        return Tokens(size, asked.levels)
    if any(side % asked.patch_size for side in size):
        raise InputError(
            f"{PLACE}.patch_size: images of {size[0]}x{size[1]} do not divide into patches of "
            f"{asked.patch_size}x{asked.patch_size}; choose a divisor of the image size"
        )
    plain = Tokens(size, asked.levels)
    few = max(1, PATCHES // (size[0] * size[1] // asked.patch_size**2))
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), few)).round().astype(int)]
    levels = plain.encode(normalise(images[some], [0.0], [1.0])).float()
    patches = F.unfold(levels, asked.patch_size, stride=asked.patch_size).mT.flatten(0, 1)
    distinct = torch.unique(patches, dim=0)
    if len(distinct) < asked.codebook:
        raise InputError(
            f"{PLACE}.codebook: {asked.codebook} is larger than the number of patches, as there are {len(distinct)} "
            "different ones; lower it"
        )
    exact = len(distinct) == asked.codebook == asked.levels**asked.patch_size**2
    book = distinct if exact else _centres(patches, asked.codebook, seed)
    return Tokens(size, asked.levels, asked.patch_size, [[round(v, 4) for v in row] for row in book.tolist()], exact)


def _centres(patches: Tensor, count: int, seed: int) -> Tensor:
    """K-means centres `[count, p*p]` of patches `[M, p*p]`, in a fixed order."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # several add up in the order in which they end
        centres = KMeans(count, n_init=1, random_state=seed).fit(patches.numpy()).cluster_centers_
    return torch.from_numpy(centres[np.lexsort(centres.T[::-1])])
