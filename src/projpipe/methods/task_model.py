"""The methods that are compared: one interface from a set of classes to a student's weights and its logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.methods.per_task_models import PerTaskModels
from projpipe.methods.universal_model import UniversalModel
from projpipe.projection.factors import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.transformer.class_weights import told
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


class TaskModel(nn.Module):
    """Students for any task: a module that makes weights, and the forward pass that uses them.

    Args:
        generator: maps class ids `[T, K]` and their mask `[T, K]` to canonical weights with a leading axis `T`.
    """

    def __init__(self, generator: ProjectionOperator | UniversalModel | PerTaskModels) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self,
        images: Tensor,
        classes: Tensor,
        mask: Tensor,
        embedding: Tensor | None = None,
        source_images: Tensor | None = None,
        source_labels: Tensor | None = None,
        familiar: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Encoded images `[T, B, ...]` of `T` tasks to logits `[T, B, ...]`, very negative for classes out of the mask.

        `embedding` `[T, D]` replaces the projector's embedding of the tasks; `familiar` `[T, K]` is False where a class
        is to be taken for a new one. Second come the source's own logits for `source_images`, where there are any; the
        two in one call is what data-parallel training asks for.
        """
        instead = {} if embedding is None else {"embedding": embedding}
        logits = forward_students(self.generator.spec, self.generator(classes, mask, familiar, **instead), images)
        source_logits = None
        if source_images is not None and source_labels is not None:
            source_logits = self.source_logits(source_images, source_labels)
        return logits, source_logits

    @torch.no_grad()
    def embed(self, classes: Sequence[int]) -> Tensor:
        """The projector's embedding `[D]` of a task."""
        assert isinstance(self.generator, ProjectionOperator)
        ids = torch.tensor([list(classes)], device=next(self.parameters()).device)
        return self.generator.embed(ids, torch.ones_like(ids, dtype=torch.bool))[0]

    @property
    def tunes_source(self) -> bool:
        """Whether the source's own weights learn with the rest."""
        return isinstance(self.generator, ProjectionOperator) and self.generator.tuned

    def source_logits(self, images: Tensor, labels: Tensor) -> Tensor:
        """What the source, as tuned so far, says about encoded images `[S, ...]` of class ids `[S]`: logits `[S, ...]`.

        A classifier's are of all classes; a decoder is told each image's class.
        """
        assert isinstance(self.generator, ProjectionOperator)
        spec, weights = self.generator.source.spec, self.generator.source_weights()
        if not spec.symbols:
            return forward_students(spec, {name: tensor[None] for name, tensor in weights.items()}, images[None])[0]
        of_images = told(spec, weights, labels[:, None], torch.ones_like(labels[:, None], dtype=torch.bool))
        return forward_students(spec, of_images, images[:, None])[:, 0]

    @torch.no_grad()
    def specialise(self, classes: Sequence[int], embedding: Tensor | None = None) -> VisionTransformer:
        """The small model for one task: a stock timm VisionTransformer, a classifier's logits in the order given.

        `embedding` `[D]` replaces the projector's embedding of the task.
        """
        device = next(self.parameters()).device
        ids = torch.tensor([list(classes)], device=device)
        instead = {} if embedding is None else {"embedding": embedding[None].to(device)}
        weights = self.generator(ids, torch.ones_like(ids, dtype=torch.bool), **instead)
        return export_student(self.generator.spec, {name: value[0].cpu() for name, value in weights.items()})


def build(method: str, source: Source, config: TrainProjectorConfig, seed: int) -> TaskModel:
    """A method at its start.

    Args:
        method: `projected`, `static` (the same projection without conditioning), `universal` or `universal_selected`
            (started with weights selected from the source's).

    Raises:
        InputError: the student is not smaller than its source.
    """
    spec = source.spec.student(**config.student.model_dump(), place="train_projector.student")
    terms = Conditioning(**config.conditioning.model_dump())
    if method in ("universal", "universal_selected"):
        return TaskModel(UniversalModel(source, spec, terms.task_embed_dim, seed, method == "universal_selected"))
    if method == "static":
        terms = replace(terms, templates=0, rank=0, gates=False)
    tuned, free = config.source == "tuned", config.free_weights
    return TaskModel(ProjectionOperator(source, spec, terms, seed, config.start, tuned, free))


def restore(
    method: str, models: dict[str, Tensor], seed: int, source: Source, config: TrainProjectorConfig
) -> TaskModel:
    """A trained method from stored tensors, whose names start with the seed they were trained with.

    Raises:
        InputError: the tensors hold no such seed or do not fit the student; they come from another run.
    """
    prefix = f"{seed}."
    state = {name.removeprefix(prefix): value for name, value in models.items() if name.startswith(prefix)}
    model = build(method, source, config, seed)
    problem = "no tensors" if not state else _misfit(model, state)
    if problem:
        raise InputError(
            f"{method}_models, seed {seed}: {problem}; it was trained with other parameters. "
            "Run `kedro run --pipelines train_projector`"
        )
    model.load_state_dict(state)
    if isinstance(model.generator, ProjectionOperator):
        model.generator.precompute()
    return model.eval()


def _misfit(model: nn.Module, state: dict[str, Tensor]) -> str | None:
    expected = {name: value.shape for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in state.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return f"tensor {wrong[0]} does not fit the student" if wrong else None
