"""All methods by name. A new one is a file beside this, and a line here.

Parameters, table schemas, pipelines, figures and the words of the report go by what is registered.
"""

from __future__ import annotations

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError, did_you_mean
from projpipe.methods.calibrated import CALIBRATED
from projpipe.methods.constant import CONSTANT
from projpipe.methods.distilled import DISTILLED
from projpipe.methods.method import Method, Style
from projpipe.methods.projected import PROJECTED
from projpipe.methods.pruned import PRUNED
from projpipe.methods.scratch import SCRATCH
from projpipe.methods.specialist import SPECIALIST
from projpipe.methods.static import STATIC
from projpipe.methods.universal import UNIVERSAL
from projpipe.methods.universal_principal import UNIVERSAL_PRINCIPAL
from projpipe.methods.universal_selected import UNIVERSAL_SELECTED

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        PROJECTED,
        STATIC,
        UNIVERSAL,
        UNIVERSAL_SELECTED,
        UNIVERSAL_PRINCIPAL,
        CONSTANT,
        SCRATCH,
        DISTILLED,
        PRUNED,
        CALIBRATED,
        SPECIALIST,
    )
}


def find(name: str, place: str) -> Method:
    """The method of a name.

    Raises:
        InputError: there is none; names the place, and the nearest.
    """
    if name not in METHODS:
        hint = did_you_mean(name, METHODS, f"there are {', '.join(METHODS)}")
        raise InputError(f"{place}: {name!r} is not a method; {hint}")
    return METHODS[name]


def main_methods() -> list[str]:
    """Names of those that the pipeline `train_projector` trains, in order."""
    return [name for name, method in METHODS.items() if method.main]


def untrained_rows() -> dict[str, Style]:
    """Rows of models that were not trained yet, by name."""
    return dict(method.untrained_row for method in METHODS.values() if method.untrained_row is not None)


def judged_on_sampled_tasks(row: str, method: str | None) -> bool:
    """Whether a row of a comparison is of models that are made for single tasks, and only for the sampled ones.

    Args:
        row: its name.
        method: that of its method; None of a row that was not trained.
    """
    return row in untrained_rows() or (method is not None and METHODS[method].per_task)


def check_rates_and_schedules(config: TrainProjectorConfig) -> None:
    """Refuse learning rates that are not one for each method that is trained, or to be found, and unknown schedules.

    Raises:
        InputError: names what is missing or not known.
    """
    for name in config.schedules:
        find(name, "train_projector.schedules")
    place, rates = "train_projector.learning_rates", config.learning_rates
    if rates is None:
        return
    for name in rates:
        find(name, place)
    if missing := [name for name in main_methods() if name not in rates]:
        raise InputError(f"{place}: there is none for {missing[0]}; give it one")
