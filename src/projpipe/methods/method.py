"""What a method is: one way to come to small models for tasks, and all that the project has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from projpipe.config import TrainProjectorConfig
from projpipe.projection.parameter_groups import ParameterGroup
from projpipe.projection.source import Source
from projpipe.transformer.canonical import Weights
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

ClassIds = Sequence[int]  # of a task


class WeightGenerator(Protocol):
    """A torch module that makes the weights of small models, and learns to."""

    spec: TransformerSpec

    def __call__(self, classes: Tensor, mask: Tensor, keep_rows: Tensor | None = None) -> Weights:
        """Canonical weights with a leading axis `T` for tasks of class ids `[T, K]` with their mask `[T, K]`.

        `keep_rows` `[T, K]` is class-row dropout: False where what was learned for a class is left out; None keeps all.
        """

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of its parameters, by how they learn."""


@dataclass(frozen=True)
class Ingredients:
    """What a method is built from.

    Args:
        source: the teacher as the projection reads it.
        config: of the run; the student's size is in it.
        seed: fixes the initial weights.
        tasks: those that a method which trains a model for each task is for.
        examples: encoded training images `[N, ...]` of a task, at most so many of each class, and their targets `[N]`,
            positions among its classes.
        place: where the student's size comes from, for errors.
        shared: a trained model for all tasks, for a method that starts from one.
    """

    source: Source
    config: TrainProjectorConfig
    seed: int
    tasks: Sequence[ClassIds] = ()
    examples: Callable[[ClassIds, int], tuple[Tensor, Tensor]] | None = None
    place: str = "train_projector.student"
    shared: WeightGenerator | None = None

    @property
    def student(self) -> TransformerSpec:
        """The shape of the student.

        Raises:
            InputError: it is not smaller than its source.
        """
        return self.source.spec.student(**self.config.student.model_dump(), place=self.place)

    @property
    def sizes(self) -> Sizes | None:
        """The sizes that students are trained in, see `sizes_of`."""
        return sizes_of(self.config, self.student, self.source.spec)


def sizes_of(config: TrainProjectorConfig, student: TransformerSpec, source: TransformerSpec) -> Sizes | None:
    """The sizes that students are trained in, `student` the largest; None where there is that one alone.

    Raises:
        InputError: the smallest is larger than the largest in some respect.
    """
    if config.smallest is None:
        return None
    place = "train_projector.smallest"
    return Sizes(source.student(**config.smallest.model_dump(), place=place), student, place)


@dataclass(frozen=True)
class Style:
    """How a method is called and drawn: a colour, plotly's marker, and the dashes of its curve.

    Colours are of the Okabe-Ito palette, as far as it goes.
    """

    title: str
    colour: str
    marker: str
    dash: str = "solid"


@dataclass(frozen=True)
class Method:
    """One way to come to small models for tasks.

    Args:
        name: as in parameters, tables and metrics.
        style: how it is called and drawn.
        build: the module that makes its models' weights, untrained.
        described: what it is, in full, as HTML for the report, by objective; empty where the report does not have it.
        told_apart: what it is in a few words, where the report's opening sentence sets the projected model against it.
        main: trained by the pipeline `train_projector`, and in the report of every run.
        per_task: has a model of its own for each of the sampled tasks, and for no other.
        distils: learns from the teacher's logits too.
        shared: has one body for all tasks, which no task changes but for what it is told as an input.
        starts_from_shared: starts from the best shared model of its table, with the same seed.
        untrained_row: the name and the style of a row of its models as they are before they are trained.
        refuse: raises InputError where a student of some shape cannot be made of a source of some shape for the tasks.
    """

    name: str
    style: Style
    build: Callable[[Ingredients], WeightGenerator]
    described: Mapping[str, str] = field(default_factory=dict)
    told_apart: Mapping[str, str] = field(default_factory=dict)
    main: bool = False
    per_task: bool = False
    distils: bool = True
    shared: bool = False
    starts_from_shared: bool = False
    untrained_row: tuple[str, Style] | None = None
    refuse: Callable[[TransformerSpec, TransformerSpec, Sequence[ClassIds]], object] = lambda source, student, tasks: (
        None
    )
