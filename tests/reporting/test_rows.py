from typing import Any

import pytest

from projpipe.methods.registry import METHODS
from projpipe.reporting.rows import compared_with_reference, judged_on_sample, row_name
from projpipe.reporting.style import title_of


@pytest.fixture
def table() -> dict[str, Any]:
    methods = {
        "ours": "projected",
        "static": "static",
        "random": "projected",
        "distilled": "distilled",
        "5x": "scratch",
    }
    return {
        "reference": "ours-1",
        "methods": {name: {"method": method} for name, method in methods.items()},
        "differences": {"ours-1-static": {"new_class": {}}, "ours-1-a-b": {}},
    }


def test_a_row_has_the_name_a_user_gave_it_or_that_of_its_method(table: Any) -> None:
    assert [row_name(name, table) for name in ("ours", "random", "static", "teacher", "shuffled")] == [
        "ours",
        "random",  # of a user, not the control
        *(title_of(name) for name in ("static", "teacher", "shuffled")),
    ]


def test_names_that_hold_a_hyphen_are_found_again(table: Any) -> None:
    assert dict(compared_with_reference(table)) == {"static": {"new_class": {}}, "a-b": {}}


def test_models_per_task_are_judged_on_the_sample_and_so_is_the_pruned_teacher(table: Any) -> None:
    assert {table["methods"][name]["method"] for name in ("distilled", "5x")} < {
        name for name, method in METHODS.items() if method.per_task
    }
    judged = [
        name for name in (*table["methods"], "teacher", "shuffled", "pruned_only") if judged_on_sample(name, table)
    ]
    assert judged == ["distilled", "5x", "pruned_only"]
