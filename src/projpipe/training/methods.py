"""The methods that are compared: one interface from a set of classes to a student's weights and its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from projpipe.baselines.universal import UniversalModel
from projpipe.config import ConditioningConfig, StudentConfig
from projpipe.errors import InputError
from projpipe.projection.factors import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.source import Source
from projpipe.transformer.export import export_student
from projpipe.transformer.forward import forward_students

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

MASKED = -1e9  # the logit of a class that only fills up a row


class TaskModel(nn.Module):
    """Students for any task: a module that makes weights, and the forward pass that uses them.

    Args:
        generator: maps class ids `[T, K]` and their mask `[T, K]` to canonical weights with a leading axis `T`.
    """

    def __init__(self, generator: ProjectionOperator | UniversalModel) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, images: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
        """Images `[T, B, C, H, W]` of `T` tasks to logits `[T, B, K]`, `MASKED` where `mask` is False."""
        logits = forward_students(self.generator.spec, self.generator(classes, mask), images)
        return logits.masked_fill(~mask[:, None], MASKED)

    @torch.no_grad()
    def specialise(self, classes: Sequence[int]) -> VisionTransformer:
        """The small model for one task: a stock timm VisionTransformer with one logit a class, in the order given."""
        device = next(self.parameters()).device
        ids = torch.tensor([list(classes)], device=device)
        weights = self.generator(ids, torch.ones_like(ids, dtype=torch.bool))
        return export_student(self.generator.spec, {name: value[0].cpu() for name, value in weights.items()})


def build(
    method: str, source: Source, student: StudentConfig, conditioning: ConditioningConfig, seed: int
) -> TaskModel:
    """A method at its start.

    Args:
        method: `projected`, `static` (the same projection without conditioning) or `universal`.

    Raises:
        InputError: the student is not smaller than its source.
    """
    spec = source.spec.student(**student.model_dump(), place="train_projector.student")
    if method == "universal":
        return TaskModel(UniversalModel(source, spec, conditioning.task_embed_dim, seed))
    terms = Conditioning(**conditioning.model_dump())
    if method == "static":
        terms = Conditioning(templates=0, rank=0, gates=False, task_embed_dim=terms.task_embed_dim)
    return TaskModel(ProjectionOperator(source, spec, terms, seed))


def restore(
    method: str,
    models: dict[str, Tensor],
    seed: int,
    source: Source,
    student: StudentConfig,
    conditioning: ConditioningConfig,
) -> TaskModel:
    """A trained method from stored tensors, whose names start with the seed they were trained with.

    Raises:
        InputError: the tensors hold no such seed or do not fit the student; they come from another run.
    """
    prefix = f"{seed}."
    state = {name.removeprefix(prefix): value for name, value in models.items() if name.startswith(prefix)}
    model = build(method, source, student, conditioning, seed)
    problem = "no tensors" if not state else _misfit(model, state)
    if problem:
        raise InputError(
            f"{method}_models, seed {seed}: {problem}; it was trained with other parameters. "
            "Run `kedro run --pipelines train_projector`"
        )
    model.load_state_dict(state)
    return model.eval()


def _misfit(model: nn.Module, state: dict[str, Tensor]) -> str | None:
    expected = {name: value.shape for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in state.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return f"tensor {wrong[0]} does not fit the student" if wrong else None
