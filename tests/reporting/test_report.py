import copy
import re
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from projpipe.reporting.report import flatten, per_task_table

FIGURES = ("scores", "learning_curves", "tasks", "pareto")


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles, with straight apostrophes."""

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
        return re.sub(r"\s+", " ", "".join(self.words)).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def test_it_needs_nothing_from_elsewhere(report: str) -> None:
    page = Page(report)
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base")]
    assert not [tag for tag, attrs in page.tags if "href" in attrs or ("src" in attrs and tag != "img")]
    pictures = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert pictures
    assert all(str(picture).startswith("data:image/png;base64,") for picture in pictures)
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


def test_it_says_what_was_found(report: str, either: Any) -> None:
    text, metrics, metric = Page(report).text, either.measured["metrics"], either.metric
    assert "−98.7 %" in text
    for method in ("projected", "static", "universal", "teacher"):
        for kind in ("new_combination", "new_class", "train"):
            cell = metrics["results"][method][kind]
            low, high = map(metric.text, cell["ci95"])
            assert f"{metric.text(cell['mean'])} [{low}, {high}]" in text
    assert "the projected model is better than a universal conditional model of its size" in text
    assert "5f5f5f" in text
    assert "400 steps of 4 tasks with 32 images each, 50 % of the loss" in text
    assert "train_projector.optimisation.images_per_task" in text


@pytest.mark.parametrize(
    ("interval", "in_accuracy", "in_bits"),
    [
        ([-0.376, 0.005], "has too few tasks to be told from", "has too few tasks to be told from"),
        ([-0.03, -0.01], "is worse than", "is better than"),
        ([-0.01, 0.02], "shows no clear difference from", "shows no clear difference from"),
        ([0.01, 0.03], "is better than", "is worse than"),
    ],
)
def test_the_opening_sentence_follows_the_interval_and_the_direction(
    render: Any, accuracy: Any, bits: Any, interval: list[float], in_accuracy: str, in_bits: str
) -> None:
    for of, found in ((accuracy, in_accuracy), (bits, in_bits)):
        changed = copy.deepcopy(of.measured)
        changed["metrics"]["differences"]["projected-universal"]["new_combination"]["ci95"] = interval
        text = Page(render(of, changed)).text
        assert f"the projected model {found} a universal conditional model of its size" in text
        low, high = map(of.metric.difference, interval)
        assert f" {of.metric.step}, {low} to {high})" in text


def test_where_hardly_any_difference_shows_that_stands_first_with_its_reasons(render: Any, either: Any) -> None:
    changed = copy.deepcopy(either.measured)
    for by_kind in changed["metrics"]["differences"].values():
        for cell in by_kind.values():
            cell["ci95"] = [-0.01, 0.01]
    text = Page(render(either, changed)).text
    first_lines = text[: text.index("Is it better?")]
    assert "By this run, methods are hard to tell apart." in first_lines
    assert "98.7 % fewer parameters than their teacher" in first_lines
    assert "of 9 differences, 9 have an interval that includes zero" in first_lines
    assert "kedro run --env omniglot" in first_lines
    assert "shows no clear difference" not in first_lines  # once is enough
    assert "hard to tell apart" not in Page(render(either, either.measured)).text


def test_verdicts_turn_around_where_fewer_are_better(render: Any, accuracy: Any, bits: Any) -> None:
    def verdicts(of: Any, sign: int) -> set[str]:
        changed = copy.deepcopy(of.measured)
        for by_kind in changed["metrics"]["differences"].values():
            for cell in by_kind.values():
                cell["ci95"] = sorted([sign * 0.01, sign * 0.02])
        return {
            str(attrs["class"])
            for _, attrs in Page(render(of, changed)).tags
            if (attrs.get("class") or "").startswith("verdict")
        }

    assert verdicts(accuracy, +1) == verdicts(bits, -1) == {"verdict better"}
    assert verdicts(accuracy, -1) == verdicts(bits, +1) == {"verdict worse"}


def test_each_objective_has_words_of_its_own(render: Any, accuracy: Any, bits: Any) -> None:
    text = Page(render(accuracy, accuracy.measured)).text
    assert "into a small one for any set of classes you name: it writes" in text
    assert (
        "Projected model minus each alternative, in percentage points of accuracy, paired by seed and test image."
        in text
    )
    assert "for a task, its answers are limited to the task's classes" in text
    assert "Sizes and speeds are of models for 3 classes, the held-out tasks' median; the teacher has its 10." in text
    assert "and the rest the labels" in text
    assert "accuracy in % [95 % interval]" in text
    assert "validation accuracy in %" in text
    assert "bits" not in text
    assert "fewer are" not in text.lower()
    assert "sampl" not in text.replace("a sample of the training tasks", "").replace("bootstrap_samples", "")

    text = Page(render(bits, bits.measured)).text
    assert "into a small one that models the images of any classes you name: it writes" in text
    assert (
        "in bits per pixel, paired by seed and test image. Fewer are better, so that a negative difference is a gain."
        in text
    )
    assert "a causal decoder over the tokens of an image" in text
    assert "Sizes and speeds are of models for 1 class, the held-out tasks' median" in text
    assert "and the rest the images themselves" in text
    assert "bits per pixel [95 % interval]" in text
    assert "validation bits per pixel" in text
    assert "Bits per pixel of every task" in text
    assert "accuracy" not in text.lower()
    assert "Fewer are better." in text


def test_it_says_what_made_it(report: str) -> None:
    folded = report[report.index("How this run was made") :]
    folded = folded[: folded.index("</details>")]
    for text in ("58463a1b2c3d", "c0de" * 16, "5f" * 32, "7a" * 32, "7e" * 32, "AMD EPYC, AVX512", "torch 2.15"):
        assert text in folded


def test_sampling_is_told_where_it_was_timed(render: Any, bits: Any) -> None:
    text = Page(render(bits, bits.measured)).text
    assert "1 thread; 3.8\N{MULTIPLICATION SIGN} at sampling" in text
    assert "ms to sample one imagetimes fasterms to make one" in text
    assert "123.4 (0.0) \N{EN DASH} \N{EN DASH}" in text  # of the teacher, which is made for no task
    assert "32.1 (0.0) 3.8\N{MULTIPLICATION SIGN} 2.34" in text


def test_every_figure_is_shown_once_with_its_caption(report: str) -> None:
    for name in FIGURES:
        assert report.count(f'id="figure-{name}"') == 1


def test_pictures_come_before_any_figure_of_one_task_and_the_others_are_folded(report: str, either: Any) -> None:
    first = report[: report.index("Headline figures")]
    assert first.count('<ul class="cards') == 2
    assert first.index('<ul class="cards') < first.index("<summary>1 more task</summary>")
    if either.metric.name == "accuracy":
        words = Page(first[: first.index("<details>")]).text
        assert "3 teacher ✓ 3 shared ✗ <b>more <b>more teacher ✓ <b>more shared ✗ 3" in words
    else:
        assert "none</p>" in first  # of the teacher, which drew nothing


def test_new_classes_have_a_card_of_their_own(render: Any, either: Any) -> None:
    changed = copy.deepcopy(either.measured)
    tiles = [changed, copy.deepcopy(changed)]
    for by_kind in tiles[1]["metrics"]["results"].values():
        del by_kind["new_class"]
    with_them, without = (
        html[html.index("Headline") : html.index("<h2>Size")] for html in map(render, [either] * 2, tiles)
    )
    assert with_them.count(f"<h2>{either.metric.title.capitalize()}") == 2
    assert f"<h2>{either.metric.title.capitalize()}, new classes</h2>" in with_them
    assert f"teacher {either.metric.text(changed['metrics']['results']['teacher']['new_class']['mean'])}" in with_them
    assert without.count(f"<h2>{either.metric.title.capitalize()}") == 1


def test_what_was_measured_on_a_busy_machine_is_a_range_where_it_stands(render: Any, accuracy: Any) -> None:
    assert "busy" not in Page(render(accuracy, accuracy.measured)).text
    changed = copy.deepcopy(accuracy.measured)
    changed["timings"]["latency"]["projected"]["32"].update(undisturbed_ms=0.5, speedup=50.8, undisturbed_speedup=19.2)
    changed["timings"]["latency"]["teacher"]["32"]["undisturbed_ms"] = 12.0
    text = Page(render(accuracy, changed)).text
    tile = text[text.index("Speed") : text.index("Is it better?")]
    assert "19.2 to 50.8\N{MULTIPLICATION SIGN} batch 32" in tile
    assert "Measured on a busy machine." in tile
    cost = text[text.index("ms to make one") : text.index("Which student size?")]
    assert "12.00 to 15.96 (0.01)" in cost
    assert "19.2 to 50.8\N{MULTIPLICATION SIGN}" in cost
    assert "Measured on a busy machine" in cost


def test_it_does_without_tasks_of_new_classes(render: Any, either: Any) -> None:
    changed = copy.deepcopy(either.measured)
    for table in ("results", "differences"):
        for by_kind in changed["metrics"][table].values():
            del by_kind["new_class"]
    assert "new combinations of known classes" in Page(render(either, changed)).text


def test_controls_are_folded_away_with_what_they_are_and_what_came_of_them(
    render: Any, accuracy: Any, with_controls: dict[str, Any]
) -> None:
    html = render(accuracy, with_controls)
    start = html.index("<details><summary>Controls")
    folded = html[start : html.index("</details>", start)]
    for name in ("wrong-task", "mean-embedding", "random-embedding"):
        assert html.count(f"Projected, {name} control") == 3  # an explanation, a difference, a row of results
        assert folded.count(f"Projected, {name} control") == 3
    text = Page(folded).text
    assert "40.0 [38.0, 42.0]" in text
    assert "told the mean embedding of the training tasks in place of its task" in text
    text = Page(html).text
    assert "coherent new combinations, those of them whose classes belong together" in text
    assert "random new combinations, those of them drawn at random" in text


def test_the_same_evaluation_gives_the_same_bytes(render: Any, either: Any, report: str) -> None:
    assert render(either, either.measured) == report
    ids = [attrs["id"] for _, attrs in Page(report).tags if "id" in attrs]
    assert sorted(ids) == sorted(f"figure-{name}" for name in FIGURES)


def test_every_task_has_a_row_with_the_mean_over_seeds(results: pd.DataFrame) -> None:
    rows = per_task_table(results)
    assert [row.kind for row in rows] == ["new_combination"] * 12 + ["new_class"] * 4 + ["train"] * 4
    of_task = results[(results["task_name"] == rows[3].name) & (results["method"] == "static")]
    assert rows[3].scores["static"] == pytest.approx(of_task["score"].mean())


def test_nested_parameters_are_flattened_to_dotted_names() -> None:
    assert dict(flatten({"a": {"b": 1, "c": [2, 3]}, "d": None})) == {"a.b": 1, "a.c": "2, 3", "d": None}
