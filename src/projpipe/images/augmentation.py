"""Random changes of images: affine ones, kept as matrices so that an image can be seen again as it was, and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from projpipe.config import Augmentation


def sample_affine(augmentation: Augmentation, count: int, generator: torch.Generator, aspect: float = 1.0) -> Tensor:
    """Draw `count` affine maps, every part of them uniformly within its range, half of them flipped if so asked.

    Args:
        generator: on the CPU; fixes the draw.
        aspect: width over height of the images.

    Returns:
        float32 [count, 2, 3], for `warp`.
    """
    rotation, shear, scale, right, down = 2 * torch.rand(count, 5, generator=generator).T - 1
    maps = affine_matrices(
        rotation * augmentation.rotation,
        shear * augmentation.shear,
        1 + scale * augmentation.scale,
        torch.stack([right, down], -1) * augmentation.translation,
        aspect,
    )
    if augmentation.flip:
        maps[torch.rand(count, generator=generator) < 0.5, 0] *= -1  # asks for the other side of the image
    return maps


def affine_matrices(rotation: Tensor, shear: Tensor, scale: Tensor, translation: Tensor, aspect: float = 1.0) -> Tensor:
    """Affine maps about the centre of the image, in the coordinates of `torch.nn.functional.grid_sample`.

    What is shown is scaled, sheared, rotated and then moved. As `grid_sample` asks where each pixel comes from, the
    matrices are the inverse of this.

    Args:
        rotation: degrees [count], counter-clockwise.
        shear: degrees [count] by which vertical lines lean to the right.
        scale: factor [count].
        translation: to the right and down [count, 2], in shares of width and height.
        aspect: width over height of the images.

    Returns:
        float32 [count, 2, 3].
    """
    angle, lean = rotation.deg2rad(), shear.deg2rad().tan()
    cosine, sine = angle.cos(), angle.sin()
    # Rotating back by R^-1 and then leaning back by S^-1, in units that are equally long to the right and down.
    rows = [cosine + lean * sine, lean * cosine - sine, sine, cosine]
    a, b, c, d = (row / scale for row in rows)
    linear = torch.stack([a, b / aspect, c * aspect, d], -1).unflatten(-1, (2, 2))
    offset = linear @ (-2 * translation)[..., None]
    return torch.cat([linear, offset], -1)


def warp(images: Tensor, affine: Tensor) -> Tensor:
    """See images through affine maps: bilinear, with the border's values beyond the border.

    Args:
        images: float [B, C, H, W].
        affine: float [B, 2, 3], of `sample_affine`.

    Returns:
        float [B, C, H, W].
    """
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recolour(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of each image, by factors drawn uniformly from `1 ± amount`.

    Args:
        images: float [B, C, H, W], with a deviation of about one; `amount` of it is what brightness adds at most.
        generator: on the CPU; fixes the draw.

    Returns:
        float [B, C, H, W].
    """
    draws = amount * (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = draws.to(images.device)
    mean, grey = images.mean((1, 2, 3), keepdim=True), images.mean(1, keepdim=True)
    return images + brightness + contrast * (grey - mean) + saturation * (images - grey)
