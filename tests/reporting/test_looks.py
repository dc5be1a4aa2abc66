import pandas as pd

from projpipe.reporting import looks


def test_every_method_has_a_name_a_colour_and_a_marker_of_its_own() -> None:
    assert looks.METHOD_NAMES.keys() == looks.COLOURS.keys() == looks.MARKERS.keys()
    assert len(set(looks.METHOD_NAMES.values())) == len(set(looks.MARKERS.values())) == len(looks.METHOD_NAMES)
    assert len(set(looks.DASHES.values())) == len(looks.DASHES)


def test_one_task_is_not_tasks() -> None:
    assert [looks.tasks(number) for number in (0, 1, 84)] == ["0 tasks", "1 task", "84 tasks"]


def test_curves_of_any_number_of_other_names_are_told_apart() -> None:
    names = ["projected", "static", *(f"rank {rank}" for rank in range(20)), "random"]
    history = pd.DataFrame({"name": names, "method": ["projected", "static", *["projected"] * 21]})
    styles = looks.curve_styles(history)

    assert styles["projected"].label == "Projected"
    assert styles["random"].label == "random"
    assert len({(style.colour, style.dash) for style in styles.values()}) == len(names)
    assert len({styles[name].colour for name in names[:8]}) == 8


def test_a_label_is_broken_between_words_escaped_and_not_endless() -> None:
    assert looks.broken("new combinations of known classes", 24) == "new combinations of<br>known classes"
    assert looks.broken("aaa<bbbb", 4) == "aaa&lt;<br>bbbb"
    lines = looks.broken(", ".join(map(str, range(1000))), 16).split("<br>")
    assert len(lines) == 6
    assert lines[-1].endswith("…")
