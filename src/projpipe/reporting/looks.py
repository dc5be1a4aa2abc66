"""What methods and kinds of tasks are called, and how every figure draws them.

Every method keeps one colour (the Okabe-Ito palette, told apart with any kind of colour vision) and one marker, so
that the figures also read in black and white.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

METHOD_NAMES = {
    "teacher": "Teacher",
    "projected": "Projected",
    "static": "Static projection",
    "universal": "Universal conditional",
    "universal_selected": "Universal, weights selected",
    "scratch": "Per task, from scratch",
    "distilled": "Per task, distilled",
    "pruned": "Pruned teacher, fine-tuned per task",
    "pruned_only": "Pruned teacher",
    "shuffled": "Projected, wrong-task control",
    "mean": "Projected, mean-embedding control",
    "random": "Projected, random-embedding control",
}
TOLD = {  # what a control tells the projector in place of the embedding of its task
    "shuffled": "another task's embedding",
    "mean": "the mean embedding of the training tasks",
    "random": "a random embedding",
}
KIND_NAMES = {
    "new_combination": "new combinations of known classes",
    "coherent": "coherent new combinations",
    "random": "random new combinations",
    "new_class": "new classes",
    "train": "training tasks",
}
COLOURS = {
    "teacher": "#7f7f7f",
    "projected": "#0072b2",
    "static": "#e69f00",
    "universal": "#cc79a7",
    "universal_selected": "#d55e00",
    "scratch": "#56b4e9",
    "distilled": "#009e73",
    "pruned": "#000000",
    "pruned_only": "#000000",
    "shuffled": "#56b4e9",
    "mean": "#009e73",
    "random": "#d55e00",
}
MARKERS = {
    "teacher": "diamond",
    "projected": "circle",
    "static": "square",
    "universal": "triangle-up",
    "universal_selected": "triangle-down",
    "scratch": "pentagon",
    "distilled": "star",
    "pruned": "x",
    "pruned_only": "cross",
    "shuffled": "circle-open",
    "mean": "square-open",
    "random": "diamond-open",
}
DASHES = {
    "teacher": "longdash",
    "projected": "solid",
    "static": "dash",
    "universal": "dot",
    "universal_selected": "dashdot",
    "scratch": "longdashdot",
    "distilled": "8px,3px",
    "pruned": "3px,6px",
}
# for curves of other names; yellow, which is hard to see on white, comes last
OKABE_ITO = ("#56b4e9", "#009e73", "#d55e00", "#000000", "#e69f00", "#cc79a7", "#0072b2", "#f0e442")
OTHER_MARKERS = ("circle-open", "square-open", "diamond-open", "triangle-up-open", "triangle-down-open", "x-thin-open")
OTHER_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
LIGHT, DARK, QUIET = "#ffffff", "#1f2328", "#7f7f7f"
TITLE = 50  # pixels that the title of a figure takes


@dataclass(frozen=True)
class CurveStyle:
    """How one curve is drawn, and what the legend calls it."""

    label: str
    colour: str
    marker: str
    dash: str


def curve_styles(history: pd.DataFrame) -> dict[str, CurveStyle]:
    """The style of every `name` in `history`.

    Where the name is that of its `method` it is drawn as that method is everywhere; any other name (`rank 8`) takes the
    next colour of the palette that no method here has.
    """
    pairs = dict(zip(history["name"], history["method"], strict=True))
    own = [name for name, method in pairs.items() if name == method and name in DASHES]
    free = [colour for colour in OKABE_ITO if colour not in {COLOURS[name] for name in own}]
    styles = {name: CurveStyle(METHOD_NAMES[name], COLOURS[name], MARKERS[name], DASHES[name]) for name in own}
    for i, name in enumerate(name for name in pairs if name not in styles):
        turn = i + i // len(free)  # a colour that comes again has another dash and marker
        marker, dash = OTHER_MARKERS[turn % len(OTHER_MARKERS)], OTHER_DASHES[turn % len(OTHER_DASHES)]
        styles[name] = CurveStyle(escaped(name), free[i % len(free)], marker, dash)
    return styles


def tasks(number: int) -> str:
    """How many tasks: '1 task', '84 tasks'."""
    return f"{number} task{'s' * (number != 1)}"


def listed_kinds(kinds: Sequence[str]) -> str:
    """Kinds of tasks as what comes after 'on': 'new classes and on training tasks'."""
    return " and on ".join(KIND_NAMES[kind] for kind in kinds)


def broken(text: str, width: int) -> str:
    """A name as the label of a figure: `escaped`, in at most six lines of `width` characters, broken between words."""
    lines = textwrap.wrap(text, width, max_lines=6, placeholder=" \N{HORIZONTAL ELLIPSIS}")
    return "<br>".join(map(escaped, lines))


def escaped(text: str) -> str:
    """Names come from folders: plotly reads some HTML in its texts, so that its marks are written out."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def finish(figure: go.Figure, title: str) -> go.Figure:
    """Give a figure its title, and the look that all figures share."""
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
