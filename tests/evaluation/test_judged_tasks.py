import numpy as np
import pandas as pd
import pytest

from projpipe.errors import InputError
from projpipe.evaluation.judged_tasks import median_task, reported_tasks, sampled_pool, with_sampled_first


@pytest.fixture
def tasks() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task_id": range(6),
            "class_ids": [[0, 1, 2, 3, 4], np.array([0, 1]), [0, 1, 2, 3], [5, 6, 7], [1, 2, 3, 4, 5, 6], [1, 2]],
            "kind": ["train", "new_combination", "new_combination", "new_class", "train", "validation"],
        }
    )


def test_the_median_task_is_the_middle_one_of_the_held_out_tasks(tasks: pd.DataFrame) -> None:
    assert median_task(tasks) == [5, 6, 7]


def test_held_out_tasks_and_the_first_train_tasks_are_reported(tasks: pd.DataFrame) -> None:
    assert list(reported_tasks(tasks, 1)["task_id"]) == [1, 2, 3, 0]
    assert list(reported_tasks(tasks, 0)["task_id"]) == [1, 2, 3]


def test_sampled_tasks_are_the_first_to_be_judged(tasks: pd.DataFrame) -> None:
    tasks = tasks.assign(strategy=["group", "random", "explicit", "group", "random", "random"])
    assert list(sampled_pool(tasks, "all")["task_id"]) == [1, 2, 3]
    coherent = sampled_pool(tasks, "coherent")
    assert list(coherent["task_id"]) == [2, 3]
    assert list(with_sampled_first(tasks, coherent.head(1))["task_id"]) == [2, 1, 3]


def test_a_table_without_held_out_tasks_is_refused(tasks: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no task of kind new_combination"):
        median_task(tasks[tasks["kind"] == "train"])
