"""The HTML report: one file that opens without a network and without knowing the project."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from pydantic import BaseModel

from projpipe.evaluation.cost import Cost
from projpipe.evaluation.latency import Timings
from projpipe.evaluation.metrics import Metrics
from projpipe.images.dataset_card import DatasetCard
from projpipe.methods.controls import CONTROLS
from projpipe.metric import METRICS
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.reporting.caveats import caveats
from projpipe.reporting.examples import Example
from projpipe.reporting.formats import busy, count, percent, times_faster
from projpipe.reporting.opening import opening
from projpipe.reporting.style import KIND_NAMES, TITLE, styles
from projpipe.reporting.wording import WORDING, described, told_apart
from projpipe.students.elapsed import milliseconds
from projpipe.students.size_table import SizeTable
from projpipe.training.provenance import Run

PACKAGES = ("projpipe", "torch", "timm", "kedro", "ray", "optuna", "numpy", "pandas", "plotly")


def render_report(
    metrics: Metrics,
    costs: Mapping[str, Cost],
    timings: Timings,
    results: pd.DataFrame,
    size_table: SizeTable,
    sizes_tried: int,
    figures: Mapping[str, go.Figure],
    examples: Sequence[Example],
    teacher_card: TeacherCard,
    dataset_card: DatasetCard,
    run: Run,
    parameters: Mapping[str, BaseModel],
) -> str:
    """The report as one HTML document, plotly.js included.

    `figures` holds scores, learning_curves, tasks and pareto; `parameters` the parameters to print, by
    pipeline; `sizes_tried` says how many sizes were judged for the table. Names of classes, tasks and data sets are
    escaped, as they come from folders.
    """
    settings = flatten({name: model.model_dump(mode="json") for name, model in parameters.items()})
    template = environment().get_template("report.html.j2")
    return template.render(
        metrics=metrics,
        metric=METRICS[metrics["metric"]],
        wording=WORDING[metrics["objective"]],
        costs=costs,
        timings=timings,
        per_task=per_task_table(results),
        size_table=size_table,
        sizes_tried=sizes_tried,
        figures={name: _fragment(name, figure) for name, figure in figures.items()},
        examples=examples,
        plotly_js=get_plotlyjs(),
        teacher_card=dict(flatten({k: v for k, v in teacher_card.to_json().items() if k not in ("data", "versions")})),
        dataset_card=dataset_card,
        run={name: value for name, value in flatten(run) if not name.startswith(("parameters.", "versions."))},
        training=parameters["train_projector"],
        settings=dict(settings),
        opening=opening(metrics, timings),
        busy=busy(timings),
        caveats=caveats(metrics, timings, results),
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        method_names={name: style.title for name, style in styles().items()},
        kind_names=KIND_NAMES,
        told={name: control.told for name, control in CONTROLS.items()},
        described=described(metrics["objective"]),
        told_apart=told_apart(metrics["objective"]),
    )


def environment() -> Environment:
    """Jinja with escaping on, and the number formats of the report as filters."""
    env = Environment(
        loader=PackageLoader("projpipe.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"percent": percent, "count": count, "milliseconds": milliseconds, "times_faster": times_faster}
    return env


@dataclass(frozen=True)
class TaskRow:
    """One task, and the mean score over seeds of every method on it."""

    name: str
    kind: str
    num_classes: int
    images: int
    scores: Mapping[str, float]


def per_task_table(results: pd.DataFrame) -> list[TaskRow]:
    """One row a task, kind by kind. `results` has the columns of `schemas.RESULTS`."""
    tasks = results.drop_duplicates("task_id").to_dict(orient="records")
    scores = results.pivot_table(index="task_id", columns="method", values="score", aggfunc="mean")
    return [
        TaskRow(
            name=task["task_name"],
            kind=task["kind"],
            num_classes=task["num_classes"],
            images=task["images"],
            scores={str(method): score for method, score in scores.loc[task["task_id"]].items()},
        )
        for task in sorted(tasks, key=lambda task: (list(KIND_NAMES).index(task["kind"]), task["task_id"]))
    ]


def flatten(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Leaves of a nested mapping under dotted names; lists become text."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value


def _fragment(name: str, figure: go.Figure) -> str:
    """The figure as an HTML fragment without plotly.js; the page's theme colours it and its caption is in the page."""
    plain = go.Figure(figure)
    plain.update_layout(title=None, margin_t=plain.layout.margin.t - TITLE, paper_bgcolor="rgba(0,0,0,0)")
    return plain.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{name}",
        config={"responsive": True, "displayModeBar": False},
    )
