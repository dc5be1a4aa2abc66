import copy
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from projpipe.reporting.formats import percent
from projpipe.reporting.report import flatten, per_task_table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """Tags with their attributes, ids, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def test_it_needs_nothing_from_elsewhere(report: str) -> None:
    page = Page(report)
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object", "embed", "base")]
    assert not [attrs for _, attrs in page.tags if {"src", "href"} & attrs.keys()]
    assert "@import" not in report
    assert report.count("plotly.js v") == 1


def test_names_from_folders_are_shown_as_text(report: str) -> None:
    page = Page(report)
    assert [tag for tag, _ in page.tags].count("script") == report.count("<script")
    assert "alert(1)</script" not in report
    assert "<img src=x" not in report
    assert "digits & <b>more</b>" in page.text
    assert "<img src=x onerror=alert(1)>" in page.text
    assert "a/<i>b</i>.png" in page.text


def test_it_says_what_was_found(report: str, evaluation: dict[str, Any]) -> None:
    text, metrics = Page(report).text, evaluation["metrics"]
    assert f"−{percent(metrics['reduction']['params'])} %" in text
    for method in ("projected", "static", "universal", "teacher"):
        for kind in ("new_combination", "new_class", "train"):
            cell = metrics["results"][method][kind]
            assert f"{percent(cell['mean'])} [{percent(cell['ci95'][0])}, {percent(cell['ci95'][1])}]" in text
    assert "the projected model is better than a universal conditional model of its size" in text
    assert "5f5f5f" in text
    assert "400 steps of 4 tasks with 32 images each, 50 % of the loss" in text
    assert "train_projector.optimisation.images_per_task" in text


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        ([-0.03, -0.01], "is worse than a universal conditional model"),
        ([-0.01, 0.02], "shows no clear difference from a universal conditional model"),
        ([0.01, 0.02], "is better than a universal conditional model"),
    ],
)
def test_the_opening_sentence_follows_the_interval(
    render: Any, evaluation: dict[str, Any], interval: list[float], sentence: str
) -> None:
    changed = copy.deepcopy(evaluation)
    changed["metrics"]["differences"]["projected-universal"]["new_combination"]["ci95"] = interval
    assert sentence in Page(render(changed)).text


def test_it_does_without_tasks_of_new_classes(render: Any, evaluation: dict[str, Any]) -> None:
    changed = copy.deepcopy(evaluation)
    for table in ("results", "differences"):
        for by_kind in changed["metrics"][table].values():
            del by_kind["new_class"]
    assert "new combinations of known classes" in Page(render(changed)).text


def test_controls_have_rows_among_the_results_and_are_explained(render: Any, with_controls: dict[str, Any]) -> None:
    text = Page(render(with_controls)).text
    for name in ("another task's", "mean", "random"):
        assert text.count(f"Projected, {name} embedding") == 3  # a difference, an explanation, a row of results
    assert "40.0 [38.0, 42.0]" in text
    assert "told the mean embedding of the training tasks in place of its task" in text
    assert "coherent new combinations, those of them whose classes belong together" in text
    assert "random new combinations, those of them drawn at random" in text


def test_the_same_evaluation_gives_the_same_bytes(render: Any, evaluation: dict[str, Any], report: str) -> None:
    assert render(evaluation) == report
    ids = [attrs["id"] for _, attrs in Page(report).tags if "id" in attrs]
    assert sorted(ids) == ["figure-accuracy", "figure-learning_curves", "figure-pareto", "figure-tasks"]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_without_network_draws_all_figures(report: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(report, encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            "--dump-dom",
            (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    page = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    for name in ("accuracy", "learning_curves", "tasks", "pareto"):
        drawn = page[page.index(f'id="figure-{name}"') :]
        assert 0 < drawn.index('class="main-svg"') < drawn.index("</figure>")


def test_every_task_has_a_row_with_the_mean_over_seeds(results: pd.DataFrame) -> None:
    rows = per_task_table(results)
    assert [row["kind"] for row in rows] == ["new_combination"] * 12 + ["new_class"] * 4 + ["train"] * 4
    of_task = results[(results["task_id"] == rows[3]["task_id"]) & (results["method"] == "static")]
    assert rows[3]["accuracy"]["static"] == pytest.approx(of_task["accuracy"].mean())


def test_nested_parameters_are_flattened_to_dotted_names() -> None:
    assert dict(flatten({"a": {"b": 1, "c": [2, 3]}, "d": None})) == {"a.b": 1, "a.c": "2, 3", "d": None}
