"""Which tasks models are judged on, and the one that sizes and speeds are stated for."""

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from projpipe.config import HELD_OUT_KINDS
from projpipe.errors import InputError
from projpipe.tasks.task import are_coherent, class_ids_of, median_by_size


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
    return pd.concat([tasks[tasks["kind"] == kind] for kind in HELD_OUT_KINDS])


def sampled_pool(tasks: pd.DataFrame, sampled_from: Literal["all", "coherent"]) -> pd.DataFrame:
    """The held-out tasks that may be sampled: all, or those whose classes belong together."""
    held_out = held_out_tasks(tasks)
    return held_out if sampled_from == "all" else held_out[are_coherent(held_out)]


def with_sampled_first(tasks: pd.DataFrame, sampled: pd.DataFrame) -> pd.DataFrame:
    """All held-out tasks, those first that are sampled."""
    return pd.concat([sampled, held_out_tasks(tasks).drop(sampled.index)])


def reported_tasks(tasks: pd.DataFrame, train_tasks: int) -> pd.DataFrame:
    """The held-out tasks that are reported on, and the first `train_tasks` train tasks to compare with."""
    return pd.concat([held_out_tasks(tasks), tasks[tasks["kind"] == "train"].head(train_tasks)], ignore_index=True)
