"""A comparison of methods drawn: its paired differences and its learning curves, a panel for every table."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from projpipe.evaluation.comparison_summary import ComparedTable, Comparison
from projpipe.metric import METRICS, Metric
from projpipe.reporting.figures import draw_curves
from projpipe.reporting.rows import compared_with_reference, row_name
from projpipe.reporting.style import KIND_NAMES, QUIET, broken, curve_styles, finish, in_html

KIND_MARKS = {
    "new_combination": ("#0072b2", "circle"),
    "coherent": ("#009e73", "diamond"),
    "random": ("#e69f00", "square"),
    "new_class": ("#d55e00", "triangle-up"),
    "coherent_new_class": ("#cc79a7", "triangle-left"),
    "random_new_class": ("#56b4e9", "triangle-right"),
    "train": ("#7f7f7f", "x"),
}
GAP = 55  # pixels between panels, for the title of the lower one


def differences_figure(summary: Comparison) -> go.Figure:
    """Forest plot: a panel a table, a row for every method the reference is compared with, a mark a kind of task.

    A mark is the paired difference, reference minus method, in the steps of the metric; its line is the 95 % interval.
    """
    tables, metric = summary["tables"], METRICS[summary["metric"]]
    compared = [by_kind for table in tables.values() for _, by_kind in compared_with_reference(table)]
    kinds = [kind for kind in KIND_NAMES if any(kind in by_kind for by_kind in compared)]
    heights = [len(table["differences"]) * max(18 * len(kinds) + 14, GAP) for table in tables.values()]
    plot_height = sum(heights) + GAP * (len(heights) - 1)
    figure = make_subplots(
        rows=len(tables),
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=GAP / plot_height,
        subplot_titles=[
            in_html(f"{name}: {row_name(t['reference'], t)} minus \N{HORIZONTAL ELLIPSIS}")
            for name, t in tables.items()
        ],
    )
    for panel, table in enumerate(tables.values(), start=1):
        for position, kind in enumerate(kinds):
            offset = 0.7 * ((position + 0.5) / len(kinds) - 0.5)
            _draw_differences(figure, panel, table, kind, metric, offset)
        labels = [broken(f"minus {row_name(name, table)}", 28) for name, _ in compared_with_reference(table)]
        positions = list(range(len(labels)))
        figure.update_yaxes(tickvals=positions, ticktext=labels, range=[len(labels) - 0.5, -0.5], row=panel, col=1)
    _finish_panels(figure, f"Paired differences in {metric.title}, with 95 % intervals", plot_height)
    direction = "" if metric.higher_is_better else ", negative is better"
    figure.update_xaxes(title=f"difference ({metric.step_title}{direction})", row=len(tables), col=1)
    return figure.add_vline(x=0, line={"color": QUIET, "width": 1, "dash": "dot"})


def budget_curves_figure(history: pd.DataFrame, tables: Sequence[str], metric: Metric) -> go.Figure:
    """Validation score against optimisation step, a panel for each of `tables`: mean and range of the seeds.

    `history` has the columns table, name, method, seed, step and validation_score. A name keeps its colour in all
    panels.
    """
    columns = min(len(tables), 2)
    starts = range(0, len(tables), columns)  # of rows of panels
    rows = len(starts)
    plot_height = 280 * rows + GAP * (rows - 1)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes="all",
        horizontal_spacing=0.05,
        vertical_spacing=GAP / plot_height,
        specs=[[{} if row + column < len(tables) else None for column in range(columns)] for row in starts],
        subplot_titles=[in_html(name) for name in tables],
    )
    history = history[history["table"].isin(tables)]
    style_of = curve_styles(history)
    for position, name in enumerate(tables):
        of_table = history[history["table"] == name]
        draw_curves(figure, of_table, style_of, metric, row=1 + position // columns, col=1 + position % columns)
    several = history.groupby("table")["seed"].nunique().max() > 1
    figure.update_xaxes(rangemode="tozero", ticks="outside")
    _finish_panels(figure, "Learning curves" + " (mean and range of the seeds)" * bool(several), plot_height)
    figure.update_xaxes(title="optimisation step", row=rows)
    return figure.update_yaxes(title=metric.axis(" on validation tasks"), col=1)


def _draw_differences(
    figure: go.Figure, panel: int, table: ComparedTable, kind: str, metric: Metric, offset: float
) -> None:
    """Draw the differences on one kind of task into a panel, `offset` below the middle of each row."""
    compared = enumerate(compared_with_reference(table))
    drawn = [(at, name, by_kind[kind]) for at, (name, by_kind) in compared if kind in by_kind]
    colour, symbol = KIND_MARKS[kind]
    figure.add_scatter(
        name=KIND_NAMES[kind],
        x=[metric.scale * cell["mean"] for _, _, cell in drawn],
        y=[at + offset for at, _, _ in drawn],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [metric.scale * (cell["ci95"][1] - cell["mean"]) for _, _, cell in drawn],
            "arrayminus": [metric.scale * (cell["mean"] - cell["ci95"][0]) for _, _, cell in drawn],
            "thickness": 2,
            "width": 4,
        },
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 9},
        customdata=[in_html(row_name(name, table)) for _, name, _ in drawn],
        hovertemplate=(
            f"minus %{{customdata}}: %{{x:+.{metric.decimals}f}} {metric.step}<extra>%{{fullData.name}}</extra>"
        ),
        legendgroup=kind,
        showlegend=bool(drawn) and kind not in {trace.legendgroup for trace in figure.data if trace.showlegend},
        row=panel,
        col=1,
    )


def _finish_panels(figure: go.Figure, title: str, plot_height: int) -> None:
    """The style of all figures, with the legend below, as titles of panels are where it would be."""
    finish(figure, title)
    above, below = 85, 130
    figure.update_layout(
        legend={"y": -60 / plot_height, "yanchor": "top"},
        margin={"t": above, "b": below},
        height=above + plot_height + below,
    )
