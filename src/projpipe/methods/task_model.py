"""One interface to all methods: from a set of classes to the weights of a student, and from images to its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from projpipe.methods.method import WeightGenerator
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.parameter_groups import ParameterGroup
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.transformer.canonical import Weights
from projpipe.transformer.class_weights import pad_tasks, told
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


class TaskModel(nn.Module):
    """Students for any task: a module that makes weights, and the forward pass that uses them.

    Args:
        generator: maps class ids `[T, K]` and their mask `[T, K]` to canonical weights with a leading axis `T`.
        of_sizes: makes the weights of smaller students of them; None where there is one size.
    """

    def __init__(self, generator: WeightGenerator, of_sizes: SizeOffsets | None = None) -> None:
        super().__init__()
        self.generator, self.of_sizes = generator, of_sizes

    @property
    def sizes(self) -> Sizes | None:
        """Those of its students; None where there is one."""
        return None if self.of_sizes is None else self.of_sizes.sizes

    def forward(
        self,
        images: Tensor,
        classes: Tensor,
        mask: Tensor,
        embedding: Tensor | None = None,
        source_images: Tensor | None = None,
        source_labels: Tensor | None = None,
        keep_rows: Tensor | None = None,
        sizes: Sequence[TransformerSpec] = (),
    ) -> tuple[list[Tensor], Tensor | None]:
        """Encoded images `[T, B, ...]` of `T` tasks to logits `[T, B, ...]`, very negative for classes out of the mask.

        There are logits for each of `sizes`; for the largest alone if none is given. `embedding` `[T, D]` replaces the
        projector's embedding of the tasks; `keep_rows` `[T, K]` is class-row dropout, False where what was learned for
        a class is left out. Second come the source's own logits for `source_images`, where there are any: data-parallel
        training asks for all in one call.
        """
        weights = (
            self.generator(classes, mask, keep_rows)
            if embedding is None
            else self.projector(classes, mask, keep_rows, embedding)
        )
        of_each = [(size, self._sized(weights, size)) for size in sizes or (self.generator.spec,)]
        logits = [forward_students(size, own, images) for size, own in of_each]
        source_logits = None
        if source_images is not None and source_labels is not None:
            source_logits = self.source_logits(source_images, source_labels)
        return logits, source_logits

    def _sized(self, weights: Weights, size: TransformerSpec) -> Weights:
        """The weights of a size, out of the largest's."""
        return weights if self.of_sizes is None else self.of_sizes(weights, size)

    @property
    def projector(self) -> ProjectionOperator:
        """The operator that makes the weights; there is none where they are not projected.

        Raises:
            TypeError: they are not.
        """
        if not isinstance(self.generator, ProjectionOperator):
            raise TypeError(f"{type(self.generator).__name__} projects nothing")
        return self.generator

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters, by how they learn."""
        of_sizes = [] if self.of_sizes is None else self.of_sizes.parameter_groups()
        return self.generator.parameter_groups() + of_sizes

    def precompute(self) -> None:
        """Multiply what no task changes once, where there is something: for a model that learns no more."""
        if isinstance(self.generator, ProjectionOperator):
            self.generator.precompute()

    @torch.no_grad()
    def embed(self, classes: Sequence[int]) -> Tensor:
        """The projector's embedding `[D]` of a task."""
        device = next(self.parameters()).device
        return self.projector.embed(*pad_tasks([classes], device))[0]

    @property
    def tunes_source(self) -> bool:
        """Whether the source's own weights learn with the rest."""
        return isinstance(self.generator, ProjectionOperator) and self.generator.tuned

    def source_logits(self, images: Tensor, labels: Tensor) -> Tensor:
        """What the source, as tuned so far, says about encoded images `[S, ...]` of class ids `[S]`: logits `[S, ...]`.

        A classifier's are of all classes; a decoder is told each image's class.
        """
        spec, weights = self.projector.source.spec, self.projector.source_weights()
        if not spec.symbols:
            return forward_students(spec, {name: tensor[None] for name, tensor in weights.items()}, images[None])[0]
        of_images = told(spec, weights, labels[:, None], torch.ones_like(labels[:, None], dtype=torch.bool))
        return forward_students(spec, of_images, images[:, None])[:, 0]

    @torch.no_grad()
    def specialise(
        self, classes: Sequence[int], embedding: Tensor | None = None, size: TransformerSpec | None = None
    ) -> VisionTransformer:
        """The small model for one task: a stock timm VisionTransformer, a classifier's logits in the order given.

        `embedding` `[D]` replaces the projector's embedding of the task; `size` is the largest if None.
        """
        device = next(self.parameters()).device
        ids, mask = pad_tasks([classes], device)
        if embedding is None:
            weights = self.generator(ids, mask)
        else:
            weights = self.projector(ids, mask, embedding=embedding[None].to(device))
        size = size or self.generator.spec
        weights = self._sized(weights, size)
        return export_student(size, {name: value[0].cpu() for name, value in weights.items()})
