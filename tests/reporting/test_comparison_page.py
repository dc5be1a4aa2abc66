import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from markdown_it import MarkdownIt

from projpipe.reporting.comparison_page import comparison_markdown

SMALL, LARGE = "small student, 1x", "small | student, <b>4x</b>"
NONE = "\N{EN DASH}"
KINDS = ("new_combination", "coherent", "random", "new_class")


def accuracy(mean: float, kinds: tuple[str, ...] = KINDS, tasks: int = 84) -> dict[str, Any]:
    return {kind: {"mean": mean, "ci95": [mean - 0.011, mean + 0.012], "tasks": tasks} for kind in kinds}


def difference(mean: float, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    spread = {"ci95": [mean - 0.029, mean + 0.027], "by_seed": [mean - 0.02, mean, mean + 0.02]}
    return {kind: {"mean": mean, **spread} for kind in kinds}


def trained(method: str, source_score: dict[str, float] | None = None) -> dict[str, Any]:
    return {
        "method": method,
        "learning_rate": 0.002,
        "steps": 1000,
        "training_flops": 4_500_000_000_000,
        "flops_to_make": 3_000_000,
        "source_score": source_score,
    }


@pytest.fixture
def summary() -> dict[str, Any]:
    small = {
        "student": {
            "embed_dim": 24,
            "depth": 2,
            "num_heads": 4,
            "mlp_ratio": 2.0,
            "params": 11_675,
            "macs": 600_000,
        },
        "reduction": {"params": 0.9904, "macs": 0.98},
        "steps": 1000,
        "seeds": [0, 1, 2],
        "reference": "projected",
        "methods": {method: trained(method) for method in ("projected", "universal", "distilled")},
        "results": {
            "teacher": accuracy(0.954),
            "projected": accuracy(0.951),
            "universal": accuracy(0.859),
            "distilled": accuracy(0.948, KINDS[:1], tasks=12),
            "shuffled": accuracy(0.6),
        },
        "differences": {
            "projected-universal": difference(0.092),
            "projected-distilled": difference(0.003, KINDS[:1]),
            "projected-teacher": difference(-0.031),
            "projected-shuffled": difference(0.351),
        },
        "break_even": {
            "reached": True,
            "steps_per_task": 240.0,
            "flops_per_task": 77_000_000_000,
            "projector_flops": 4_500_000_000_000,
            "tasks": 58.4,
            "flops_to_make": 3_000_000,
            "times_less": 25_000.0,
        },
    }
    large = copy.deepcopy(small) | {
        "reference": "full-size",
        "methods": {
            "full-size": trained("projected"),
            "rank 8": trained("projected", {"before": 0.97, "after": 0.955}),
            "random": trained("projected"),
        },
        "results": {"teacher": accuracy(0.954), "full-size": accuracy(0.95), "rank 8": accuracy(0.94)},
        "differences": {"full-size-rank 8": difference(0.01), "full-size-random": difference(0.05)},
        "break_even": None,
    }
    return {
        "dataset": "a*b",
        "metric": "accuracy",
        "teacher": {"params": 1_216_136, "macs": 61_000_000},
        "sampled_tasks": 12,
        "tables": {SMALL: small, LARGE: large},
        "provenance": {
            "command": "kedro run --env omniglot --pipelines compare_methods",
            "commit": "abc1234",
            "versions": {"python": "3.12.1", "torch": "2.15.0"},
            "processor": "AMD EPYC, AVX512",
        },
    }


@pytest.fixture
def timings() -> dict[str, Any]:
    of_table = {
        "1": {"teacher_ms": 1.9, "student_ms": 0.4, "speedup": 4.6, "undisturbed_speedup": 4.6},
        "32": {"teacher_ms": 20.0, "student_ms": 1.0, "speedup": 20.0, "undisturbed_speedup": 14.0},
    }
    return {"machine": "Linux x86_64", "threads": 1, "latency": {SMALL: of_table, LARGE: of_table}, "sampling": {}}


def tables_of(markdown: str) -> Iterator[list[list[str]]]:
    """The rows of every table, the header first, as a Markdown parser reads them; bold and italics keep their marks."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for token in tokens:
        if token.type == "table_open":
            rows: list[list[str]] = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and token.level >= 4:
            shown = [
                part.content if part.type in ("text", "text_special") else part.markup for part in token.children or []
            ]
            rows[-1].append("".join(shown))
        elif token.type == "table_close":
            yield rows


def text_of(markdown: str) -> str:
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def test_every_method_has_a_row_with_its_accuracies(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    rows = next(tables_of(comparison_markdown(summary, timings)))
    assert rows[0] == [
        "method",
        "new combinations of known classes (84 tasks)",
        "coherent new combinations (84 tasks)",
        "random new combinations (84 tasks)",
        "new classes (84 tasks)",
    ]
    assert [row[0] for row in rows[1:]] == [
        "Teacher",
        "Projected",
        "Universal conditional",
        "Per task, distilled ¹",
        "Projected, wrong-task control",
    ]
    assert rows[3][1:] == ["85.9 [84.8, 87.1]"] * 4
    assert rows[4][1:] == ["94.8 [93.7, 96.0]", NONE, NONE, NONE]


def test_differences_are_bold_where_their_interval_leaves_out_zero(
    summary: dict[str, Any], timings: dict[str, Any]
) -> None:
    _, rows, *_ = tables_of(comparison_markdown(summary, timings))
    assert rows[0][0] == "Projected minus"
    assert {row[0]: row[1] for row in rows[1:]} == {
        "Universal conditional": "**+9.2 [6.3, 11.9]**",
        "Per task, distilled ¹": "+0.3 [−2.6, 3.0]",
        "Teacher": "**−3.1 [−6.0, −0.4]**",
        "Projected, wrong-task control": "**+35.1 [32.2, 37.8]**",
    }
    assert rows[2][2:5] == [NONE] * 3


def test_a_single_value_and_a_wide_interval_are_in_italics(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    single = {"mean": 0.2, "ci95": [0.2, 0.2], "by_seed": [0.2]}
    summary["tables"][SMALL]["differences"]["projected-universal"]["new_combination"] = single
    _, rows, *_ = tables_of(comparison_markdown(summary, timings))
    assert rows[1][1] == "*+20.0 [20.0, 20.0]*"


def test_the_difference_of_every_seed_is_told_where_there_are_several(
    summary: dict[str, Any], timings: dict[str, Any]
) -> None:
    summary["tables"][LARGE]["seeds"] = [0]
    _, several, _, _, one, _ = tables_of(comparison_markdown(summary, timings))
    assert several[0][-1] == "new combinations of known classes, each seed"
    assert several[1][-1] == "+7.2, +9.2, +11.2"
    summary["tables"][SMALL]["seeds"] = [0, 1]
    del summary["tables"][SMALL]["differences"]["projected-distilled"]["new_combination"]
    _, two, *_ = tables_of(comparison_markdown(summary, timings))
    assert two[0][-1] == several[0][-1]
    assert two[2][1:] == [NONE] * 5
    assert one[0][-1] == "new classes"


def test_what_training_took_is_told_and_the_source_where_it_was_tuned(
    summary: dict[str, Any], timings: dict[str, Any]
) -> None:
    tables = list(tables_of(comparison_markdown(summary, timings)))
    assert tables[2][0] == ["method", "learning rate", "steps", "training, one run", "making one model"]
    assert tables[2][1] == ["Projected", "0.002", "1,000", "4.5 TFLOP", "3 MFLOP"]
    assert tables[2][3][-1] == NONE  # training is what makes a distilled model
    assert tables[5][0][-1] == "source accuracy in %, before → after"
    assert [row[-1] for row in tables[5][1:]] == [NONE, "97.0 → 95.5", NONE]
    assert text_of(comparison_markdown(summary, timings)).count("source is measured on the validation images") == 1


def test_the_setting_the_latency_and_the_making_of_a_table_are_told(
    summary: dict[str, Any], timings: dict[str, Any]
) -> None:
    text = text_of(comparison_markdown(summary, timings))
    assert "embed_dim 24, depth 2, num_heads 4, mlp_ratio 2; 11,675 parameters (99.0 % fewer than the teacher)" in text
    assert "1,000 training steps; seeds 0, 1, 2." in text
    assert (
        "Latency on Linux x86_64 with 1 thread: batch 1: teacher 1.90 ms, student 0.40 ms (4.6 times as fast); "
        "batch 32: teacher 20.00 ms, student 1.00 ms (14.0 to 20.0 times as fast, measured on a busy machine)." in text
    )
    assert "kedro run --env omniglot --pipelines compare_methods" in text
    assert "Commit abc1234; python 3.12.1, torch 2.15.0; on AMD EPYC, AVX512." in text


def test_models_trained_for_sampled_tasks_alone_have_a_note(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    note = "each of the 12 sampled tasks"
    assert comparison_markdown(summary, timings).count(note) == 1
    summary["tables"][LARGE]["results"]["pruned_only"] = accuracy(0.3)
    assert comparison_markdown(summary, timings).count(note) == 2
    assert "Pruned teacher ¹" in comparison_markdown(summary, timings)


def test_the_break_even_claims_no_more_than_was_reached(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    text = text_of(comparison_markdown(summary, timings))
    assert text.count("Break-even") == 1
    assert "reach the projector's accuracy on validation images of the sampled tasks after 240 steps a task (77" in text
    assert "takes 4.5 TFLOP, which pays off from 58.4 tasks" in text
    assert "a model with 3 MFLOP, 25,000 times less" in text
    assert "bound" not in text

    summary["tables"][SMALL]["break_even"]["reached"] = False
    text = text_of(comparison_markdown(summary, timings))
    assert "did not reach the projector's accuracy on validation images" in text
    assert "within their budget of 240 steps" in text
    assert "lower bounds, and the number of tasks is an upper bound" in text
    assert "from at most 58.4 tasks" in text
    assert "at least 25,000 times less" in text

    summary["tables"][SMALL]["break_even"] |= {"reached": True, "times_less": 0.9}
    text = text_of(comparison_markdown(summary, timings))
    assert "does not pay off in operations" in text
    assert "times less" not in text


def test_the_headroom_says_what_share_of_it_is_caught(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    assert "Headroom" not in comparison_markdown(summary, timings)
    table = summary["tables"][SMALL]
    table["methods"] |= {"static": trained("static"), "specialist": trained("specialist")}
    table["headroom"] = {
        "specialist": "specialist",
        "shared": "static",
        "points": {kind: {"mean": 0.05, "ci95": [0.04, 0.06]} for kind in ("coherent", "random")},
        "share": {"coherent": {"mean": 0.521, "ci95": [0.3, 0.74]}, "random": None},
    }
    text = text_of(comparison_markdown(summary, timings))
    assert "By how much Best shared model, fine-tuned per task is above Static projection" in text
    assert "+5.0 [4.0, 6.0], 52 % of it caught [30 to 74]" in text
    assert "+5.0 [4.0, 6.0], no share of it shown" in text


def test_rows_that_a_user_named_keep_their_names(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    rows = list(tables_of(comparison_markdown(summary, timings)))[4]
    assert [row[0] for row in rows] == ["full-size minus", "rank 8", "random"]


def test_free_text_is_shown_as_it_is(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    name = "a|b *c* <img src=x> `d` $e$ [f](g) h_i_j &lt; \\"
    table = summary["tables"][LARGE]
    table["methods"][name] = trained("projected")
    table["results"][name] = accuracy(0.9)
    table["differences"][f"full-size-{name}"] = difference(0.05)
    markdown = comparison_markdown(summary, timings)

    for rows in list(tables_of(markdown))[3:]:
        assert rows[-1][0] == name
        assert len({len(row) for row in rows}) == 1
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    assert "<h1>Methods compared on a*b</h1>" in html
    assert "<h2>small | student, &lt;b&gt;4x&lt;/b&gt;</h2>" in html


def test_accuracies_are_read_in_per_cent(summary: dict[str, Any], timings: dict[str, Any]) -> None:
    text = text_of(comparison_markdown(summary, timings))
    assert "Accuracy is in %, with its 95 % interval in brackets." in text
    assert "Differences are paired by seed and test image, in percentage points. They are bold" in text
    assert "sampling" not in text


@pytest.fixture
def in_bits(summary: dict[str, Any]) -> dict[str, Any]:
    return summary | {"metric": "bits_per_pixel"}


def test_bits_are_read_with_fewer_being_better(in_bits: dict[str, Any], timings: dict[str, Any]) -> None:
    text = text_of(comparison_markdown(in_bits, timings))
    assert "Bits per pixel, fewer are better, have their 95 % interval in brackets." in text
    assert "paired by seed and test image, in bits per pixel, where a negative one is a gain. They are bold" in text
    assert "accuracy" not in text.lower()
    assert "reach the projector's bits per pixel on validation images of the sampled tasks after 240 steps" in text


def test_bits_have_four_decimals_and_differences_keep_their_sign(
    in_bits: dict[str, Any], timings: dict[str, Any]
) -> None:
    tables = list(tables_of(comparison_markdown(in_bits, timings)))
    assert tables[0][3][1] == "0.8590 [0.8480, 0.8710]"
    assert {row[0]: row[1] for row in tables[1][1:]} == {
        "Universal conditional": "**+0.0920 [0.0630, 0.1190]**",
        "Per task, distilled ¹": "*+0.0030 [−0.0260, 0.0300]*",
        "Teacher": "**−0.0310 [−0.0600, −0.0040]**",
        "Projected, wrong-task control": "**+0.3510 [0.3220, 0.3780]**",
    }
    assert tables[5][0][-1] == "source bits per pixel, before → after"
    assert [row[-1] for row in tables[5][1:]] == [NONE, "0.9700 → 0.9550", NONE]


def test_the_time_to_sample_an_image_closes_the_latency(in_bits: dict[str, Any], timings: dict[str, Any]) -> None:
    of_table = {"teacher_ms": 12.3, "student_ms": 3.24, "speedup": 3.8, "undisturbed_speedup": 3.8}
    timings["sampling"] = {SMALL: of_table, LARGE: of_table}
    text = text_of(comparison_markdown(in_bits, timings))
    assert "; sampling one image: teacher 12.3 ms, student 3.2 ms (3.8 times as fast)." in text


def test_the_document_comes_of_plain_json_and_is_the_same_every_time(
    summary: dict[str, Any], timings: dict[str, Any]
) -> None:
    assert comparison_markdown(json.loads(json.dumps(summary)), timings) == comparison_markdown(summary, timings)
