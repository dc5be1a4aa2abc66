"""The figure of what models say of images."""

import numpy as np

from projpipe.reporting.answers import RIGHT, WRONG, AnsweredTask, answers_figure


def answered(task: str, count: int) -> AnsweredTask:
    pictures = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    truth = ["fish/shark", "fish/ray", "<b>", "a_very_long_name_of_a_class"][:count]
    return AnsweredTask(task, pictures, truth, {"Teacher": truth, "Projected & more": ["fish/ray"] * count})


def texts(figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def test_every_image_has_what_it_is_and_a_line_for_each_model() -> None:
    figure = answers_figure([answered("fish", 4), answered("two", 2)], "What the models say")
    assert len(figure.data) == 6
    found = texts(figure)
    assert found.count("<b>shark</b>") == 2
    assert found.count(f"{RIGHT[1]} shark") == 2  # the teacher
    assert found.count(f"{WRONG[1]} ray") == 4  # the small model, wrong of all but the rays
    assert found.count(f"{RIGHT[1]} ray") == 4
    assert found.count("Projected &amp; more") == 2


def test_names_are_text_and_long_ones_are_cut() -> None:
    found = texts(answers_figure([answered("<i>x</i>", 4)], ""))
    assert "<b>&lt;i&gt;x&lt;/i&gt;</b>" in found
    assert "<b>&lt;b&gt;</b>" in found
    assert f"{RIGHT[1]} a very long na\N{HORIZONTAL ELLIPSIS}" in found


def test_the_figure_grows_with_its_tasks() -> None:
    one, two = (answers_figure([answered("fish", 4)] * count, "").layout.height for count in (1, 2))
    assert two > 1.6 * one
