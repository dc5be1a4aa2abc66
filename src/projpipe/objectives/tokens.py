"""Images as symbols on a grid, which an autoregressive model reads and writes in raster order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from projpipe.errors import InputError
from projpipe.record import Bounds
from projpipe.transformer.spec import Size


@dataclass(frozen=True)
class Tokens:
    """How grey images become symbols and back.

    An image is brought to `image_size` by averaging and each pixel to one of `levels` evenly spaced greys. A symbol is
    a pixel's level, or where there is a codebook the nearest of its patches.

    Args:
        image_size: `[H, W]` of what is modelled.
        levels: of grey, 2 to 256.
        patch_size: side of a patch in pixels; 1 for pixels.
        codebook: float `[V, patch_size ** 2]` of levels, not always whole ones; None where symbols are levels.
        lossless: whether symbols say everything about the pixels that are modelled.
    """

    image_size: tuple[Size, Size]
    levels: Annotated[int, Bounds(2, 256)]
    patch_size: Annotated[int, Bounds(1, 256)] = 1
    codebook: Annotated[Sequence[Sequence[float]], Bounds(2, 2**16)] | None = None
    lossless: bool = True

    def check(self) -> None:
        """Refuse patches that do not divide images, and a codebook that is none of such patches.

        Raises:
            InputError: says what does not fit.
        """
        book, pixels = self.codebook, self.patch_size**2
        if any(side % self.patch_size for side in self.image_size):
            raise InputError(f"tokens.patch_size: {self.patch_size} does not divide {list(self.image_size)}")
        if book is None and pixels > 1:
            raise InputError(f"tokens.codebook: there is none of patches of {pixels} pixels")
        if book and any(len(one) != pixels or not 0 <= min(one) <= max(one) < self.levels for one in book):
            raise InputError(f"tokens.codebook: an entry is not {pixels} levels of 0..{self.levels - 1}")
        if self.lossless != (book is None or len(book) == self.levels**pixels):
            raise InputError(f"tokens.lossless: is not {json.dumps(self.lossless)} of {self.symbols} symbols")

    @property
    def symbols(self) -> int:
        """How many there are."""
        return self.levels if self.codebook is None else len(self.codebook)

    @property
    def grid(self) -> tuple[int, int]:
        """Symbols down and across."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size

    @property
    def units(self) -> int:
        """What bits are counted for: the pixels of an image, or its tokens where symbols lose something."""
        height, width = self.image_size if self.lossless else self.grid
        return height * width

    def encode(self, images: Tensor) -> Tensor:
        """Float images in 0..1 `[N, 1, H, W]` of any size to symbols int64 `[N, 1, h, w]`."""
        levels = self._levels(images)
        if self.codebook is None:
            return levels.long()
        patches = F.unfold(levels, self.patch_size, stride=self.patch_size).mT  # [N, h*w, p*p]
        book = torch.tensor(self.codebook, device=images.device)
        return torch.cdist(patches, book[None]).argmin(-1).view(-1, 1, *self.grid)

    def decode(self, symbols: Tensor) -> Tensor:
        """Symbols `[N, 1, h, w]` to float images in 0..1 `[N, 1, H, W]`."""
        if self.codebook is None:
            return symbols.float() / (self.levels - 1)
        patches = torch.tensor(self.codebook, device=symbols.device)[symbols.flatten(1)]  # [N, h*w, p*p]
        return F.fold(patches.mT, self.image_size, self.patch_size, stride=self.patch_size) / (self.levels - 1)

    def _levels(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != self.image_size:
            images = F.interpolate(images, self.image_size, mode="area")
        return (images * (self.levels - 1)).round()
