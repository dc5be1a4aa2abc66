from pathlib import Path
from typing import Any

from rich.console import Console

from projpipe.reporting.formats import count, percent
from projpipe.reporting.table import print_closing_table, print_comparison

NONE = "\N{EN DASH}"
REPORT = Path("a folder/" + "deep/" * 30 + "report.html")


def printed(evaluation: dict[str, Any], width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        print_closing_table(**evaluation, report=REPORT, console=console)
    return captured.get()


def test_the_closing_table_has_two_lines_for_every_method_within_80_columns(evaluation: dict[str, Any]) -> None:
    lines = printed(evaluation, width=80).splitlines()

    metrics, timings = evaluation["metrics"], evaluation["timings"]
    for method, name in (
        ("teacher", "Teacher"),
        ("projected", "Projected"),
        ("static", "Static"),
        ("universal", "Univ"),
    ):
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(name))
        for kind in ("new_combination", "new_class"):
            cell = metrics["results"][method][kind]
            assert percent(cell["mean"]) in lines[at]
            assert f"[{percent(cell['ci95'][0])}, {percent(cell['ci95'][1])}]" in lines[at + 1]
        for size in ("1", "32"):
            assert f"{timings['latency'][method][size]['median_ms']:.2f}" in lines[at]
            assert f"({timings['latency'][method][size]['speedup']:.1f}x)" in lines[at + 1]
        assert count(evaluation["costs"][method]["params"]) in lines[at]


def test_controls_and_further_kinds_leave_the_closing_table_as_it_is(
    evaluation: dict[str, Any], with_controls: dict[str, Any]
) -> None:
    assert printed(with_controls, width=80) == printed(evaluation, width=80)


def test_the_name_of_the_data_set_is_printed_as_it_is(evaluation: dict[str, Any]) -> None:
    changed = {**evaluation, "metrics": {**evaluation["metrics"], "dataset": "[red]shapes[/red]"}}
    assert "[red]shapes[/red]" in printed(changed, width=80)


def test_the_path_of_the_report_stays_on_one_line(evaluation: dict[str, Any]) -> None:
    assert f"Report: {REPORT}" in printed(evaluation, width=80).splitlines()


def cell(mean: float, below: float = 0.01) -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - below, mean + 0.02]}


def test_a_comparison_is_printed_with_the_lead_of_its_first_row_within_80_columns() -> None:
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
        print_comparison({"dataset": "shapes", "tables": {"12 x 2": table}}, REPORT, console)
    lines = captured.get().splitlines()

    assert lines[0].startswith("shapes, 12 x 2, 1 seed: ")
    teacher, projected, distilled = (
        next(i for i, line in enumerate(lines) if line.split()[:1] == [name])
        for name in ("Teacher", "Projected", "[red]")
    )
    assert lines[teacher].split() == ["Teacher", "95.0", "−5.0", "97.0", "−17.0"]
    assert "[94.0, 97.0]  [−6.0, −3.0]" in lines[teacher + 1]
    assert lines[projected].split() == ["Projected", "90.0", NONE, "80.0", NONE]
    assert lines[distilled].split() == ["[red]", "70.0", "+20.0", NONE, NONE]
    assert "[19.0, 22.0]" in lines[distilled + 1]
    assert f"Comparison: {REPORT}" in lines
