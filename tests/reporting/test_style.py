import pandas as pd

from projpipe.methods.registry import METHODS
from projpipe.reporting.style import broken, curve_styles, styles, tasks, title_of


def test_every_row_has_a_title_and_a_marker_of_its_own_and_every_curve_a_dash() -> None:
    known = styles()
    assert (
        len({style.title for style in known.values()}) == len({style.marker for style in known.values()}) == len(known)
    )
    assert len({method.style.dash for method in METHODS.values()}) == len(METHODS)


def test_a_name_that_a_user_gave_stays_as_it_is() -> None:
    assert [title_of(name) for name in ("static", "shuffled", "rank 8")] == [
        "Static projection",
        "Projected, wrong-task control",
        "rank 8",
    ]


def test_one_task_is_not_tasks() -> None:
    assert [tasks(number) for number in (0, 1, 84)] == ["0 tasks", "1 task", "84 tasks"]


def test_curves_of_any_number_of_other_names_are_told_apart() -> None:
    names = ["projected", "static", *(f"rank {rank}" for rank in range(20)), "random"]
    history = pd.DataFrame({"name": names, "method": ["projected", "static", *["projected"] * 21]})
    style_of = curve_styles(history)

    assert style_of["projected"].title == "Projected"
    assert style_of["random"].title == "random"
    assert len({(style.colour, style.dash) for style in style_of.values()}) == len(names)
    assert len({style_of[name].colour for name in names[:8]}) == 8


def test_a_label_is_broken_between_words_escaped_and_not_endless() -> None:
    assert broken("new combinations of known classes", 24) == "new combinations of<br>known classes"
    assert broken("aaa<bbbb", 4) == "aaa&lt;<br>bbbb"
    lines = broken(", ".join(map(str, range(1000))), 16).split("<br>")
    assert len(lines) == 6
    assert lines[-1].endswith("…")
