"""Links that lead out of docs, to files of the repository: on the site each is a page, with an anchor for every line.

`[the formula](../src/projpipe/projection/project.py#L20)` works where the repository is browsed, and on the site.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s#]+)(#L\d+)?\)")
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Rewrite links when pages are read; write the files' pages at the end."""
    app.connect("source-read", _rewrite)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": True}


def _linked(page: Path, target: str) -> Path | None:
    """The file of the repository outside docs that a link of a page leads to, relative to the repository."""
    path = (page.parent / target).resolve()
    outside = path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs")
    return path.relative_to(ROOT) if outside else None


def _rewrite(app: Sphinx, docname: str, content: list[str]) -> None:
    page, up = Path(app.env.doc2path(docname)), "../" * docname.count("/")

    def link(match: re.Match[str]) -> str:
        path = _linked(page, match[2])
        if path is None:
            return match[0]
        if not (ROOT / path).is_file():
            logger.warning("there is no file %s", path, location=docname, type="repository", subtype="missing")
        return f'<a href="{up}source/{path.as_posix()}.html{match[3] or ""}">{match[1]}</a>'

    content[0] = LINK.sub(link, content[0])


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file that is linked."""
    found = set()
    for docname in app.env.found_docs:
        page = Path(app.env.doc2path(docname))
        found |= {_linked(page, match[2]) for match in LINK.finditer(page.read_text())}
    for path in sorted(path for path in found if path is not None and (ROOT / path).is_file()):
        body = f"<h1>{path.as_posix()}</h1>\n{_highlighted(ROOT / path)}"
        yield f"source/{path.as_posix()}", {"title": path.as_posix(), "body": body}, "page.html"


def _highlighted(path: Path) -> str:
    text = path.read_text()
    if path.suffix == ".ipynb":  # its cells, as a script
        path, text = path.with_suffix(".py"), _script(json.loads(text)["cells"])
    try:
        lexer = get_lexer_for_filename(path.name, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    lines = highlight(text, lexer, HtmlFormatter(nowrap=True)).splitlines()
    numbered = (f'<span id="L{number}">{line}</span>' for number, line in enumerate(lines, start=1))
    return '<div class="highlight-default"><div class="highlight"><pre>' + "\n".join(numbered) + "\n</pre></div></div>"


def _script(cells: list[dict[str, Any]]) -> str:
    """Code as it is, text as comments."""
    return "\n\n".join(
        "".join(("# " if cell["cell_type"] == "markdown" else "") + line for line in cell["source"]) for cell in cells
    )
