"""What all parameters share, and how what is wrong with one is said."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails

from projpipe.errors import did_you_mean

LONGEST_SHOWN = 200  # characters of a value that is wrong
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


def describe_problem(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong with a parameter of a model, and the nearest name where there is no such one."""
    if problem["type"] == "extra_forbidden":
        *place, wrong = problem["loc"]
        hint = did_you_mean(str(wrong), _names_at(model, place), otherwise="")
        return f"there is no such parameter; {hint}".removesuffix("; ")
    if problem["type"] == "union_tag_invalid":
        wrong, listed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
        return f"there is no {wrong!r}; {did_you_mean(wrong, listed.split(', '), otherwise=f'there are {listed}')}"
    if problem["type"] == "missing":
        return "is missing"
    return f"{problem['msg'].removeprefix('Value error, ')} (given: {_shown(problem['input'])})"


def _shown(given: object) -> str:
    """A value as Python writes it, cut to a sensible length."""
    try:
        text = repr(given)
    except ValueError:  # Python writes no numbers of thousands of digits
        return "a number of many digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _names_at(model: type[BaseModel], place: Sequence[int | str]) -> set[str]:
    """The parameters that there are at a place."""
    models = {model}
    for key in place:
        of_field = (of.model_fields[key].annotation for of in models if isinstance(key, str) and key in of.model_fields)
        inner = {found for annotation in of_field for found in _models_in(annotation)}
        # Else the key is a position in a list, or the name of one of several alternatives, which stands in a Literal.
        named = {of for of in models if any(key in get_args(field.annotation) for field in of.model_fields.values())}
        models = inner or named or models
    return {name for of in models for name in of.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
