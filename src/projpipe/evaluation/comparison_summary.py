"""The content of `comparison.json`: every table of a comparison, and where it comes from."""

from typing import NotRequired, TypedDict

from projpipe.evaluation.break_even import BreakEven
from projpipe.evaluation.cost import Size
from projpipe.evaluation.metrics import Reduction, StudentSize
from projpipe.evaluation.summary import Headroom, Summary
from projpipe.training.provenance import Provenance


class SourceScore(TypedDict):
    """The source's own score on validation images, before and after it was tuned."""

    before: float
    after: float


class TrainedRow(TypedDict):
    """How a row of a table was trained, and what that took: scores are means over its seeds, costs those of one.

    `parameters` are those of `train_projector` with the row's changes, as JSON; `source_score` is None where the source
    is not tuned.
    """

    method: str
    learning_rate: float
    parameters: dict[str, object]
    steps: int
    validation_score: float
    training_flops: int
    flops_to_make: int
    source_score: SourceScore | None


class ComparedTable(Summary):
    """One table: `methods` are its trained rows; `results` have those of the teacher and of controls besides.

    Differences are those of the row `reference` to each other one.
    """

    student: StudentSize
    reduction: Reduction
    steps: int
    seeds: list[int]
    reference: str
    methods: dict[str, TrainedRow]
    break_even: BreakEven | None
    headroom: NotRequired[Headroom | None]


class Comparison(TypedDict):
    """The content of `comparison.json`; `metric` names one of `projpipe.metric.METRICS`."""

    dataset: str
    objective: str
    metric: str
    teacher: Size
    sampled_tasks: int
    sampled_from: NotRequired[str]
    tables: dict[str, ComparedTable]
    provenance: Provenance
