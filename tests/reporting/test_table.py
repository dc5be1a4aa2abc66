import copy
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from projpipe.metric import ACCURACY, BITS_PER_PIXEL, Metric
from projpipe.reporting.formats import count, latencies_of
from projpipe.reporting.table import print_closing_table, print_comparison

NONE = "\N{EN DASH}"
REPORT = Path("a folder/" + "deep/" * 30 + "report.html")


def printed(evaluation: dict[str, Any], width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        print_closing_table(**evaluation, report=REPORT, console=console)
    return captured.get()


def test_the_closing_table_has_a_block_of_lines_for_every_method_within_80_columns(either: Any) -> None:
    lines = printed(either.measured, width=80).splitlines()

    metric, metrics, timings = either.metric, either.measured["metrics"], either.measured["timings"]
    for method, name in (
        ("teacher", "Teacher"),
        ("projected", "Projected"),
        ("static", "Static"),
        ("universal", "Univ"),
    ):
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(name))
        for kind in ("new_combination", "new_class"):
            cell = metrics["results"][method][kind]
            low, high = map(metric.text, cell["ci95"])
            assert metric.text(cell["mean"]) in lines[at]
            assert f"[{low}, {high}]" in lines[at + 1] or (f"[{low}," in lines[at + 1] and f"{high}]" in lines[at + 2])
        for measured in latencies_of(timings, method).values():
            assert f"{measured['median_ms']:.2f}" in lines[at]
            assert f"({measured['speedup']:.1f}x)" in lines[at + 1]
        assert count(either.measured["costs"][method].params) in lines[at]
    assert "…" not in "".join(lines)


def test_the_title_says_what_is_in_the_closing_table(accuracy: Any, bits: Any) -> None:
    in_accuracy, in_bits = (" ".join(printed(of.measured, 80).split()) for of in (accuracy, bits))
    assert "more</b>: accuracy in % [95 % interval], latency in ms (times faster)" in in_accuracy
    assert "more</b>: bits per pixel [95 % interval], latency in ms (times faster)" in in_bits
    assert "sample" not in in_accuracy
    assert "batch 32 sample" in in_bits


def test_controls_and_further_kinds_leave_the_closing_table_as_it_is(
    evaluation: dict[str, Any], with_controls: dict[str, Any]
) -> None:
    assert printed(with_controls, width=80) == printed(evaluation, width=80)


def test_that_methods_are_hard_to_tell_apart_is_said_in_one_line(evaluation: dict[str, Any]) -> None:
    said = "Methods are hard to tell apart (2 seeds, few tasks): see the report"
    assert said not in printed(evaluation, width=80)
    changed = copy.deepcopy(evaluation)
    for by_kind in changed["metrics"]["differences"].values():
        for cell in by_kind.values():
            cell["ci95"] = [-0.01, 0.01]
    assert said in printed(changed, width=80).splitlines()


def test_the_name_of_the_data_set_is_printed_as_it_is(evaluation: dict[str, Any]) -> None:
    changed = {**evaluation, "metrics": {**evaluation["metrics"], "dataset": "[red]shapes[/red]"}}
    assert "[red]shapes[/red]" in printed(changed, width=80)


def test_the_path_of_the_report_stays_on_one_line(evaluation: dict[str, Any]) -> None:
    assert f"Report: {REPORT}" in printed(evaluation, width=80).splitlines()


def cell(mean: float, below: float = 0.01) -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - below, mean + 0.02]}


def compared(metric: Metric) -> list[str]:
    """The lines that a comparison of three rows is printed in."""
    table = {
        "reference": "projected",
        "seeds": [0],
        "methods": {"projected": {"method": "projected"}, "[red]": {"method": "distilled"}},
        "results": {
            "teacher": {"new_combination": cell(0.95), "new_class": cell(0.97)},
            "projected": {"new_combination": cell(0.9), "new_class": cell(0.8)},
            "[red]": {"new_combination": cell(0.7)},
        },
        "differences": {
            "projected-teacher": {"new_combination": cell(-0.05), "new_class": cell(-0.17)},
            "projected-[red]": {"new_combination": cell(0.2)},
        },
    }
    console = Console(width=80)
    with console.capture() as captured:
        print_comparison({"dataset": "shapes", "metric": metric.name, "tables": {"12 x 2": table}}, REPORT, console)
    return captured.get().splitlines()


def test_rows_of_models_for_sampled_tasks_alone_have_a_note() -> None:
    row, note = (line.split() for line in compared(ACCURACY) if "¹" in line)
    assert row[:2] == ["[red]", "¹"]
    assert " ".join(note) == "¹ on the sampled tasks alone, on which the lead is paired"


@pytest.mark.parametrize(
    ("metric", "heading", "teacher", "intervals"),
    [
        (ACCURACY, "lead of Projected, in points", ["95.0", "−5.0", "97.0", "−17.0"], ["[94.0, 97.0]", "[−6.0, −3.0]"]),
        (
            BITS_PER_PIXEL,
            "Projected minus the row, in bits, negative is better",
            ["0.9500", "−0.0500", "0.9700", "−0.1700"],
            ["[0.9400,", "[−0.0600,"],
        ),
    ],
)
def test_a_comparison_is_printed_with_the_lead_of_its_first_row_within_80_columns(
    metric: Metric, heading: str, teacher: list[str], intervals: list[str]
) -> None:
    lines = compared(metric)
    assert lines[0].startswith("shapes, 12 x 2, 1 seed: ")
    assert heading in " ".join(line.strip() for line in lines[:3])
    at, projected, distilled = (
        next(i for i, line in enumerate(lines) if line.split()[:1] == [name] and "," not in line)
        for name in ("Teacher", "Projected", "[red]")
    )
    assert lines[at].split() == ["Teacher", *teacher]
    assert all(interval in lines[at + 1] for interval in intervals)
    assert lines[projected].split()[1:] == [metric.text(0.9), NONE, metric.text(0.8), NONE]
    assert lines[distilled].split() == ["[red]", "¹", metric.text(0.7), metric.difference(0.2), NONE, NONE]
    assert f"Comparison: {REPORT}" in lines
    assert "…" not in "".join(lines)
