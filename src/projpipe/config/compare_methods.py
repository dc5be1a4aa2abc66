"""Parameters of the pipeline `compare_methods`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from projpipe.config.base import Config, Seeds
from projpipe.config.train_projector import StudentConfig
from projpipe.errors import did_you_mean

DEFAULT_COMPARISON = "main"


def _without_seeds(changes: dict[str, Any]) -> dict[str, Any]:
    if "seeds" in changes:
        raise ValueError("seeds cannot be changed for a row or within a table; give them as the table's seeds")
    return changes


Changes = Annotated[dict[str, Any], AfterValidator(_without_seeds)]


class ComparedMethod(Config):
    """One row of a comparison. `changes` are parameters of `train_projector`, nested as there.

    `method` is one of `methods.registry`, which says so where it is not, before anything runs. `learning_rate` is
    needed where `train_projector` has none for the method. `size` is the one that is judged of models that are trained
    in many sizes; rows that differ in it alone are trained once.
    """

    method: str
    name: str = ""
    learning_rate: PositiveFloat | None = None
    changes: Changes = Field(default_factory=dict)
    size: StudentConfig | None = None


class ComparisonTable(Config):
    """Methods that are compared with each other: the first with all others, on the same tasks and seeds.

    `controls` adds rows of the first method told a wrong task.
    """

    name: str
    seeds: Seeds
    changes: Changes = Field(default_factory=dict)
    controls: bool = False
    methods: Annotated[tuple[ComparedMethod, ...], Field(min_length=1)]


class Comparison(Config):
    """Tables that are made together, on one page. What they do not change is as in `train_projector`.

    Methods that train a model per task (`scratch`, `distilled`, `pruned`, `calibrated`, `specialist`) are trained and
    judged on the first `sampled_tasks` held-out tasks, or, with `sampled_from: coherent`, on the first whose classes
    belong together. Combinations of known classes come before new classes.
    """

    sampled_tasks: PositiveInt
    sampled_from: Literal["all", "coherent"] = "all"
    tables: Annotated[tuple[ComparisonTable, ...], Field(min_length=1)]


class CompareMethodsConfig(Config):
    """Parameters of the pipeline `compare_methods`: the comparisons there are, and the name of the one to make."""

    comparisons: dict[str, Comparison]
    comparison: str = Field(default=DEFAULT_COMPARISON, validate_default=True)

    @field_validator("comparison")
    @classmethod
    def _is_there(cls, name: str, others: ValidationInfo) -> str:
        known = others.data.get("comparisons", {name: None})  # where these are wrong, that is said
        if name in known:
            return name
        listed = f"there are: {', '.join(known) or 'none'}"
        raise ValueError(f"there is no such comparison; {did_you_mean(name, known, otherwise=listed)}")

    @property
    def chosen(self) -> Comparison:
        """The comparison to make."""
        return self.comparisons[self.comparison]
