"""The page of the package's modules, floor by floor, written from their docstrings.

A page that holds the line `<!-- package -->` gets a section for each floor in its place, in the order of
`pyproject.toml`. Docstrings are Markdown in spirit: what stands in single backticks is code.
"""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

MARK = "<!-- package -->"
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
# Nobody calls the shell's functions; parameters, commands and errors have pages of their own.
SHELL = {
    "settings",
    "hooks",
    "readable_session",
    "config_loader",
    "datasets",
    "pipeline_registry",
    "schemas",
    "pipelines",
}
ELSEWHERE = {"commands", "config", "errors"}
CODE = re.compile(r"``[^`]+``|`[^`]+`")


def setup(app: Sphinx) -> dict[str, bool]:
    """Fill the page in when it is read, and read docstrings and help texts as Markdown."""
    app.connect("source-read", _fill_in)
    app.connect("autodoc-process-docstring", _of_docstring, priority=400)  # before napoleon
    for part in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{part}", _of_help)
    return {"parallel_read_safe": True}


def _fill_in(app: Sphinx, docname: str, content: list[str]) -> None:
    if MARK in content[0]:
        content[0] = content[0].replace(MARK, "\n".join(package()))


def package() -> Iterator[str]:
    """Lines of Markdown: every module of every floor, the highest floor first."""
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    for floor in (name for layer in layers for name in re.split(r"\s*[|:]\s*", layer)):
        if floor not in SHELL | ELSEWHERE:
            yield from (f"## {floor}", "")
            modules = list(_modules(f"projpipe.{floor}"))
            for module in modules:
                if len(modules) > 1:
                    yield from (f"### {module.removeprefix('projpipe.')}", "")
                yield from ("```{eval-rst}", f".. automodule:: {module}", "   :members:", "```", "")


def _modules(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    if not hasattr(module, "__path__"):
        yield name
        return
    for found in pkgutil.walk_packages(module.__path__, f"{name}."):
        if not found.ispkg:
            yield found.name


def _of_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = map(_restructured, _listed(lines))


def _of_help(app: Sphinx, command: object, lines: list[str]) -> None:
    lines[:] = [line if line.startswith("| ") else _restructured(line) for line in lines]  # a line that stands alone


def _listed(lines: list[str]) -> Iterator[str]:
    """Lines of a docstring; values that it returns, one a line and indented further on, become paragraphs."""
    returns = False
    for line in lines:
        if line and not line.startswith(" "):
            returns = line == "Returns:"
        if returns and line.startswith("    `"):
            yield ""
        yield re.sub(r"^ {8,}", "    ", line) if returns else line


def _restructured(line: str) -> str:
    """Single backticks become double ones, and what reStructuredText would take for markup is escaped."""
    parts, end = [], 0
    for match in CODE.finditer(line):
        parts += [_escaped(line[end : match.start()]), f"``{match.group().strip('`')}``"]
        end = match.end()
    return "".join([*parts, _escaped(line[end:])])


def _escaped(text: str) -> str:
    return re.sub(r"([*|]|(?<=\w)_(?=\W|$))", r"\\\1", text)
