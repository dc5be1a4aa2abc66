"""The sweep over student sizes: Optuna proposes sizes of a trained projector, and nothing is trained."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from projpipe.config import SweepStudentsConfig
from projpipe.errors import InputError
from projpipe.experiments.study import direction, finished_trials, open_study
from projpipe.metric import Metric
from projpipe.students.limits import Limits, within_counts
from projpipe.students.size_table import MeasuredSize
from projpipe.transformer.spec import TransformerSpec, size_of, written

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)
ATTEMPTS = 10  # to get a size out of a sampler that was not tried yet


@dataclass(frozen=True)
class Try:
    """What came of one size.

    `within_limits` where its latency is; `pareto` where besides no other that is so is as good in score, latency and
    parameters, and better in one.
    """

    measured: MeasuredSize
    within_limits: bool
    pareto: bool


def run_sweep(
    name: str,
    folder: Path,
    sizes: Sequence[TransformerSpec],
    config: SweepStudentsConfig,
    metric: Metric,
    measure: Callable[[TransformerSpec], MeasuredSize],
    progress: Callable[[int, int, MeasuredSize], None],
) -> list[Try]:
    """Search sizes for good scores, low latency and few parameters; no size is tried twice.

    Args:
        name: of the study, another for other sizes.
        folder: holds its journal, from which a stopped sweep goes on, and which optuna-dashboard opens.
        sizes: to choose among.
        measure: judges a size.
        progress: called after every trial, with how many are done, how many there will be, and what came of it.

    Raises:
        InputError: none of those that were tried is within the limit of latency; names the fastest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(name, folder, [direction(metric), "minimize", "minimize"])
    _name_objectives(study, metric)
    known = [_measured(trial.user_attrs["measured"]) for trial in finished_trials(study)]
    tried = {size_of(one): one for one in known}
    count = min(config.trials, len(sizes))
    if tried:
        logger.info("%d of %d sizes were measured before", min(len(tried), count), count)
    while len(tried) < count:
        study.sampler = make_sampler(config.sampler, config.seed + len(tried), count)
        attempts = ATTEMPTS if count < len(sizes) else 0  # where all are tried, none has to be chosen
        trial, size = ask_new(study, sizes, set(tried), attempts)
        measured = measure(size)
        trial.set_user_attr("measured", asdict(measured))
        if config.max_latency_ms is not None:
            trial.set_constraint("max_latency_ms", over(measured, config.max_latency_ms))
        study.tell(trial, [measured.score, measured.latency_ms, measured.params])
        tried[size_of(measured)] = measured
        progress(len(tried), count, measured)
    found = list(tried.values())[:count]
    limit = config.max_latency_ms
    within = [one for one in found if limit is None or over(one, limit) <= 0]
    if not within:
        fastest = min(found, key=lambda one: one.latency_ms)
        raise InputError(
            f"sweep_students.max_latency_ms: none of {len(found)} sizes takes {limit:g} ms or less here; the fastest "
            f"takes {fastest.latency_ms:.3g} ms: {written(fastest)}; raise it, or delete {folder} to measure anew"
        )
    front = [one for one in within if not any(dominates(other, one, metric) for other in within)]
    return [Try(one, one in within, one in front) for one in found]


def within_limits(
    sizes: Sequence[TransformerSpec], num_classes: int, config: SweepStudentsConfig
) -> Sequence[TransformerSpec]:
    """Sizes that are within the limits that need no measuring.

    Raises:
        InputError: there is none; names the nearest.
    """
    try:
        limits = Limits(max_parameters=config.max_parameters, max_macs=config.max_macs)
        return within_counts(sizes, num_classes, limits)
    except InputError as error:
        raise InputError(f"sweep_students.{str(error).replace('-', '_', 1)}; raise it") from error


def over(measured: MeasuredSize, limit_ms: float) -> float:
    """By which share a size is above the limit of latency; what is within is not above zero, as Optuna has it."""
    return measured.latency_ms / limit_ms - 1


def _name_objectives(study: optuna.Study, metric: Metric) -> None:
    """Name what `optuna-dashboard` shows."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([metric.title, "latency in ms", "parameters"])


def listed(tries: Sequence[Try], count: int, tolerance: float, metric: Metric) -> tuple[list[MeasuredSize], int]:
    """Sizes of the Pareto front for a table, those with fewer parameters first, and which of them is recommended.

    It is the one with the fewest parameters whose score is at most `tolerance` of the best score worse. Where there are
    more than `count`, the best, the recommended, the smallest and the fastest stay, and others at even distances.
    """
    front = sorted((one.measured for one in tries if one.pareto), key=lambda one: (one.params, one.latency_ms))
    best = metric.best(front, lambda one: one.score)
    room = tolerance * best.score
    recommended = next(one for one in front if abs(one.score - best.score) <= room)
    kept = {front.index(one) for one in (best, recommended, front[0], min(front, key=lambda one: one.latency_ms))}
    evenly = [round(i * (len(front) - 1) / max(1, count - 1)) for i in range(count)]
    for position in evenly:
        if len(kept) < count:
            kept.add(min(position, len(front) - 1))
    table = [front[position] for position in sorted(kept)]
    return table, table.index(recommended)


def dominates(one: MeasuredSize, other: MeasuredSize, metric: Metric) -> bool:
    """At least as good in score, latency and parameters, and better in one.

    Latency is that of two significant digits: what is behind them is noise.
    """
    (mine, my_ms), (others, others_ms) = ((size.score, float(f"{size.latency_ms:.2g}")) for size in (one, other))
    as_good = mine == others or metric.better(mine, others)
    no_worse = as_good and my_ms <= others_ms and one.params <= other.params
    return no_worse and (mine, my_ms, one.params) != (others, others_ms, other.params)


def ask_new(
    study: optuna.Study, sizes: Sequence[TransformerSpec], tried: set[tuple[int, ...]], attempts: int = ATTEMPTS
) -> tuple[optuna.Trial, TransformerSpec]:
    """Ask the study for a size that was not tried: samplers like to repeat what was good.

    A sampler that insists is given the first size left over.
    """
    import optuna

    for attempt in range(attempts + 1):
        if attempt == attempts:
            left = next(size for size in sizes if size_of(size) not in tried)
            study.enqueue_trial(_as_suggested(left))
        trial = study.ask()
        size = suggest(trial, sizes)
        if size is not None and size_of(size) not in tried:
            return trial, size
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    raise AssertionError("a size that is enqueued is suggested")


def suggest(trial: optuna.Trial, sizes: Sequence[TransformerSpec]) -> TransformerSpec | None:
    """A size; None where what the trial suggests is none."""
    embed_dim = trial.suggest_categorical("embed_dim", sorted({size.embed_dim for size in sizes}))
    depth = trial.suggest_categorical("depth", sorted({size.depth for size in sizes}))
    as_wide = [size for size in sizes if size.embed_dim == embed_dim]
    num_heads = trial.suggest_categorical(f"num_heads at {embed_dim}", sorted({size.num_heads for size in as_wide}))
    mlp_dim = trial.suggest_categorical(f"mlp_dim at {embed_dim}", sorted({size.mlp_dim for size in as_wide}))
    asked = embed_dim, depth, num_heads, mlp_dim
    return next((size for size in as_wide if size_of(size) == asked), None)


def _as_suggested(size: TransformerSpec) -> dict[str, Any]:
    """The parameters by which `suggest` arrives at a size."""
    at = f"at {size.embed_dim}"
    of_width = {f"num_heads {at}": size.num_heads, f"mlp_dim {at}": size.mlp_dim}
    return {"embed_dim": size.embed_dim, "depth": size.depth, **of_width}


def make_sampler(name: str, seed: int, trials: int) -> optuna.samplers.BaseSampler:
    """The named Optuna sampler; its first quarter of the trials is random."""
    from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

    if name == "tpe":
        return TPESampler(seed=seed, n_startup_trials=max(2, trials // 4))
    return {"nsga2": NSGAIISampler, "random": RandomSampler}[name](seed=seed)


def _measured(kept: dict[str, Any]) -> MeasuredSize:
    """What a trial's attribute says."""
    return MeasuredSize(**{**kept, "interval": tuple(kept["interval"])})
