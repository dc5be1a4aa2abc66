"""Which tasks models are judged on, and the one that sizes and speeds are stated for."""

from collections.abc import Sequence

import pandas as pd

from projpipe.errors import InputError
from projpipe.tasks.task import class_ids_of, median_by_size

JUDGED_KINDS = ("new_combination", "new_class")


def median_task(tasks: pd.DataFrame) -> Sequence[int]:
    """Classes of the held-out task in the middle when they are ordered by their number of classes.

    Sizes and speeds are stated for the model of this task.
    """
    held_out = held_out_tasks(tasks)
    if held_out.empty:
        raise InputError(
            "tasks: no task of kind new_combination or new_class to judge on; raise counts in split_tasks.tasks"
        )
    return median_by_size(class_ids_of(held_out))


def held_out_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    """The tasks that are judged on, kind by kind."""
    return pd.concat([tasks[tasks["kind"] == kind] for kind in JUDGED_KINDS])


def reported_tasks(tasks: pd.DataFrame, train_tasks: int) -> pd.DataFrame:
    """The held-out tasks that are reported on, and the first `train_tasks` train tasks to compare with."""
    return pd.concat([held_out_tasks(tasks), tasks[tasks["kind"] == "train"].head(train_tasks)], ignore_index=True)
