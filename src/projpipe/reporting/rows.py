"""The rows of a comparison's table: what people call them, and what is particular about some."""

from collections.abc import Iterator, Mapping

from projpipe.evaluation.comparison_summary import ComparedTable
from projpipe.evaluation.summary import Difference
from projpipe.methods import registry
from projpipe.reporting.style import title_of

NOTE = " \N{SUPERSCRIPT ONE}"  # behind the name of a row that is judged on the sampled tasks alone


def row_name(name: str, table: ComparedTable) -> str:
    """What people call a row: the name a user gave it, or that of its method."""
    trained = table["methods"].get(name)
    return title_of(name) if trained is None or trained["method"] == name else name


def compared_with_reference(table: ComparedTable) -> Iterator[tuple[str, Mapping[str, Difference]]]:
    """Names of the rows that the reference is compared with, and the differences by kind."""
    for key, by_kind in table["differences"].items():
        yield key.removeprefix(f"{table['reference']}-"), by_kind


def judged_on_sample(name: str, table: ComparedTable) -> bool:
    """Whether a row is of models that are made for single tasks, and only for the sampled ones."""
    trained = table["methods"].get(name)
    return registry.judged_on_sampled_tasks(name, None if trained is None else trained["method"])
