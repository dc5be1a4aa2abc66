"""What methods and kinds of tasks are called, and how every figure draws them.

Every method keeps one colour (the Okabe-Ito palette, told apart with any kind of colour vision) and one marker, so
that the figures also read in black and white. What a method is called, and its colour, stand with the method.
"""

import html
import textwrap
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from projpipe.methods.controls import CONTROLS
from projpipe.methods.method import Style
from projpipe.methods.registry import METHODS, untrained_rows

TEACHER = Style("Teacher", "#7f7f7f", "diamond", "longdash")
KIND_NAMES = {
    "new_combination": "new combinations of known classes",
    "coherent": "coherent new combinations",
    "random": "random new combinations",
    "new_class": "new classes",
    "coherent_new_class": "coherent new classes",
    "random_new_class": "random new classes",
    "train": "training tasks",
}
# for curves of other names; yellow, which is hard to see on white, comes last
OKABE_ITO = ("#56b4e9", "#009e73", "#d55e00", "#000000", "#e69f00", "#cc79a7", "#0072b2", "#f0e442")
OTHER_MARKERS = ("circle-open", "square-open", "diamond-open", "triangle-up-open", "triangle-down-open", "x-thin-open")
OTHER_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
LIGHT, DARK, QUIET = "#ffffff", "#1f2328", "#7f7f7f"
TITLE = 50  # pixels that the title of a figure takes


def styles() -> dict[str, Style]:
    """How the rows of every table are called and drawn, by name; those that a user named are not among them."""
    methods = {name: method.style for name, method in METHODS.items()}
    controls = {name: control.style for name, control in CONTROLS.items()}
    return {"teacher": TEACHER, **methods, **untrained_rows(), **controls}


def title_of(name: str) -> str:
    """What people call a row: a name that a user gave it stays as it is."""
    known = styles()
    return known[name].title if name in known else name


def curve_styles(history: pd.DataFrame) -> dict[str, Style]:
    """How the curve of every `name` in `history` is called and drawn.

    Where the name is that of its `method` it is drawn as that method is everywhere; any other name (`without FiLM`)
    takes the next colour of the palette that no method here has.
    """
    pairs = dict(zip(history["name"], history["method"], strict=True))
    style_of = {name: METHODS[name].style for name, method in pairs.items() if name == method and name in METHODS}
    unused = [colour for colour in OKABE_ITO if colour not in {style.colour for style in style_of.values()}]
    for i, name in enumerate(name for name in pairs if name not in style_of):
        turn = i + i // len(unused)  # a colour that comes again has another dash and marker
        marker, dash = OTHER_MARKERS[turn % len(OTHER_MARKERS)], OTHER_DASHES[turn % len(OTHER_DASHES)]
        style_of[name] = Style(in_html(name), unused[i % len(unused)], marker, dash)
    return style_of


def tasks(number: int) -> str:
    """How many tasks: '1 task', '84 tasks'."""
    return f"{number} task{'s' * (number != 1)}"


def listed_kinds(kinds: Sequence[str]) -> str:
    """Kinds of tasks as what comes after 'on': 'new classes and on training tasks'."""
    return " and on ".join(KIND_NAMES[kind] for kind in kinds)


def broken(text: str, width: int) -> str:
    """A name as the label of a figure: `in_html`, in at most six lines of `width` characters, broken between words."""
    lines = textwrap.wrap(text, width, max_lines=6, placeholder=" \N{HORIZONTAL ELLIPSIS}")
    return "<br>".join(map(in_html, lines))


def in_html(text: str) -> str:
    """Names come from folders: plotly reads some HTML in its texts, so that its marks are written out."""
    return html.escape(text, quote=False)


def finish(figure: go.Figure, title: str) -> go.Figure:
    """Give a figure its title, and the style that all figures share."""
    figure.update_xaxes(showgrid=False, zeroline=False, linecolor=QUIET, showline=True, automargin=True)
    figure.update_yaxes(showgrid=True, gridcolor="rgba(127,127,127,0.25)", zeroline=False, automargin=True)
    return figure.update_layout(
        template="none",
        title={
            "text": title,
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 16},
            "font": {"size": 17},
        },
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13},
        font_color=DARK,
        paper_bgcolor=LIGHT,
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": TITLE + 40, "b": 70},
        height=430,
        hoverlabel={"align": "left"},
    )
