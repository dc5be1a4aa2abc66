"""The page of parameters, written from the pydantic models and from `conf/base`.

A page that holds the line `<!-- parameters -->` gets a section for each pipeline in its place.
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx

from projpipe.config import Config
from projpipe.readable_session import MODELS

MARK = "<!-- parameters -->"
BASE = Path(__file__).parents[2] / "conf/base"
BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
TYPES = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", type(None): "`null`"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Fill the page in when it is read."""
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True}


def _fill_in(app: Sphinx, docname: str, content: list[str]) -> None:
    if MARK in content[0]:
        content[0] = content[0].replace(MARK, "\n".join(parameters()))


def parameters() -> Iterator[str]:
    """Lines of Markdown: each pipeline's parameters, those of the models within them below."""
    base: dict[str, Any] = yaml.safe_load((BASE / "parameters.yml").read_text())
    seen: set[type[Config]] = set()
    for pipeline, model in MODELS.items():
        yield from _section(pipeline, model, base.get(pipeline, {}), level=2, seen=seen)


def _section(
    place: str, model: type[Config], given: dict[str, Any], level: int, seen: set[type[Config]]
) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    yield from (f"({model.__name__})=", f"{'#' * level} {place}", "", _unwrapped(model.__doc__ or ""), "")
    described = any(field.description for field in model.model_fields.values())
    yield from ("| parameter | value | default |" + described * " |", "| --- | --- | --- |" + described * " --- |")
    for name, field in model.model_fields.items():
        row = f"| `{name}` | {_values(field)} | {_default(name, field, given)} |"
        yield row + (f" {field.description or ''} |" if described else "")
    yield ""
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        for one in inner:
            within = given.get(name, {})
            chosen = isinstance(within, dict) and (len(inner) == 1 or _is_chosen(one, within))
            heading = f"{place}.{name}" + (f", {_tag(one)}" if len(inner) > 1 else "")
            yield from _section(heading, one, within if chosen else {}, 3, seen)


def _unwrapped(docstring: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.strip().split("\n\n"))


def _default(name: str, field: FieldInfo, given: dict[str, Any]) -> str:
    """What holds where an environment says nothing, as YAML writes it; empty where there is no such value."""
    value = given[name] if name in given else field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, dict) or any(_models(field.annotation)):
        return ""
    text = yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True, width=1000)
    text = text.removesuffix("...\n").strip()
    return f"`{text}`"


def _models(annotation: object) -> Iterator[type[Config]]:
    """Models of parameters within an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _tag(model: type[Config]) -> str:
    """What tells a model from its alternatives, such as `name: digits`."""
    name, field = next((n, f) for n, f in model.model_fields.items() if get_origin(f.annotation) is Literal)
    return f"{name}: {' or '.join(map(str, get_args(field.annotation)))}"


def _is_chosen(model: type[Config], given: dict[str, Any]) -> bool:
    name = _tag(model).split(":")[0]
    return given.get(name) in get_args(model.model_fields[name].annotation)


def _values(field: FieldInfo) -> str:
    """What a parameter may be, in words."""
    return _of_type(field.annotation, field.metadata)


def _of_type(annotation: Any, metadata: Any = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of_type(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, types.UnionType):
        models = [argument for argument in arguments if list(_models(argument))]
        if len(models) > 1:  # alternatives, by what tells them apart
            return ", ".join(f"[{_tag(model)}](#{model.__name__})" for model in models)
        said = " or ".join(_of_type(argument) for argument in arguments)
    elif origin is Literal:
        said = ", ".join(f"`{argument}`" for argument in arguments)
    elif origin is tuple:
        inner = [_of_type(argument) for argument in arguments if argument is not Ellipsis]
        said = f"list of: {inner[0]}" if Ellipsis in arguments else f"[{', '.join(inner)}]"
    elif origin is dict:
        said = "names with values"
    elif isinstance(annotation, type) and issubclass(annotation, Config):
        said = f"[its own table](#{annotation.__name__})"
    else:
        said = TYPES.get(annotation, "anything")
    limits = [
        text.format(f"{getattr(one, key):,}")
        for one in _flat(metadata)
        for key, text in BOUNDS.items()
        if getattr(one, key, None) is not None
    ]
    return ", ".join([said, *limits])


def _flat(metadata: Any) -> Iterator[Any]:
    """Constraints, those of a nested `Field` too."""
    for one in metadata:
        yield from one.metadata if isinstance(one, FieldInfo) else [one]
