"""What all parameters share, and how what is wrong with one is said."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails

from projpipe.errors import did_you_mean

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Precision = Literal["float32", "bfloat16"]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds {list(seeds)} repeat a value; give each once")
    return seeds


Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]


class Config(BaseModel):
    """A frozen model that refuses keys it does not know, and numbers that are none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def own_problems(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Those that are not there for another one alone: a list is too short where its entries are wrong."""
    return [
        problem
        for problem in problems
        if problem["type"] != "too_short"
        or not any(other["loc"][: len(problem["loc"])] == problem["loc"] for other in problems if other is not problem)
    ]


def describe_problem(problem: ErrorDetails) -> str:
    """What is wrong with a parameter, and the nearest name where there is no such one."""
    if problem["type"] == "extra_forbidden":
        known = {field for model in Config.__subclasses__() for field in model.model_fields}
        wrong = str(problem["loc"][-1])
        hint = did_you_mean(wrong, known - {wrong}, otherwise="", cutoff=0.7)
        return f"there is no such parameter; {hint}".removesuffix("; ")
    if problem["type"] == "union_tag_invalid":
        wrong, listed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
        return f"there is no {wrong!r}; {did_you_mean(wrong, listed.split(', '), otherwise=f'there are {listed}')}"
    if problem["type"] == "missing":
        return "is missing"
    return f"{problem['msg'].removeprefix('Value error, ')} (given: {problem['input']!r})"
