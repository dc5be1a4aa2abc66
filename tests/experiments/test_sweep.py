"""The sweep's parts: which sizes are proposed, what is on the front, which of it is listed and recommended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

from makers import CLASSIFIER, SWEEP_STUDENTS
from projpipe.config import SweepStudentsConfig
from projpipe.errors import InputError
from projpipe.experiments.sweep import (
    Try,
    ask_new,
    dominates,
    listed,
    make_sampler,
    over,
    run_sweep,
    suggest,
    within_limits,
)
from projpipe.metric import ACCURACY, BITS_PER_PIXEL, Metric
from projpipe.students.size_table import MeasuredSize
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

SIZES = Sizes(CLASSIFIER.resized(8, 1, 2, 8), CLASSIFIER.resized(32, 3, 4, 96)).every


def measured(size: TransformerSpec, score: float = 0.5, latency_ms: float = 1.0) -> MeasuredSize:
    params, macs = size.deployed_params(3), size.deployed_macs(3)
    sizes = size.embed_dim, size.depth, size.num_heads, size.mlp_dim
    return MeasuredSize(*sizes, score, (0.0, 1.0), params, macs, 4 * params, latency_ms)


def by_parameters(size: TransformerSpec) -> MeasuredSize:
    """Larger is better and slower, as it mostly is."""
    params = size.deployed_params(3)
    return measured(size, score=1 - 100 / params, latency_ms=params / 1000)


def config(**changes: Any) -> SweepStudentsConfig:
    return SWEEP_STUDENTS.model_copy(update=changes)


def sweep(
    folder: Path, given: SweepStudentsConfig, measure: Any = by_parameters, metric: Metric = ACCURACY
) -> list[Try]:
    return run_sweep("sizes", folder, SIZES, given, metric, measure, lambda *_: None)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_as_many_sizes_are_tried_as_were_asked_for_and_none_twice(sampler: str, tmp_path: Path) -> None:
    tried = [one.measured.of(CLASSIFIER) for one in sweep(tmp_path, config(sampler=sampler, trials=30))]
    assert len(tried) == len(set(tried)) == 30
    assert set(tried) <= set(SIZES)


def test_no_more_sizes_are_tried_than_there_are(tmp_path: Path) -> None:
    few = SIZES[:5]
    found = run_sweep("sizes", tmp_path, few, config(trials=50), ACCURACY, by_parameters, lambda *_: None)
    assert {one.measured.of(CLASSIFIER) for one in found} == set(few)


def test_a_stopped_sweep_goes_on_with_what_it_has_found(tmp_path: Path) -> None:
    calls: list[TransformerSpec] = []

    def counted(size: TransformerSpec) -> MeasuredSize:
        if len(calls) == 6:
            raise KeyboardInterrupt
        calls.append(size)
        return by_parameters(size)

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, config(trials=10), counted)
    again: list[TransformerSpec] = []
    found = sweep(tmp_path, config(trials=10), lambda size: again.append(size) or by_parameters(size))
    assert len(again) == 4
    assert [one.measured.of(CLASSIFIER) for one in found[:6]] == calls
    assert found == sweep(tmp_path, config(trials=10), lambda size: pytest.fail("measured again"))


def test_its_journal_is_a_study_that_optuna_reads(tmp_path: Path) -> None:
    sweep(tmp_path, config(trials=5, max_latency_ms=30.0))
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    study = optuna.load_study(study_name="sizes", storage=optuna.storages.JournalStorage(backend))
    done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(done) == 5
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert all(set(trial.constraints) == {"max_latency_ms"} for trial in done)
    assert study.metric_names == ["accuracy", "latency in ms", "parameters"]


def test_with_a_limit_more_of_the_sizes_that_are_tried_are_within_it(tmp_path: Path) -> None:
    limit = sorted(size.deployed_params(3) for size in SIZES)[len(SIZES) // 5] / 1000
    found = sweep(tmp_path, config(trials=50, max_latency_ms=limit))
    within = [one for one in found if one.within_limits]
    assert len(within) > 15  # of 50; 10 would be chance
    assert all(one.measured.latency_ms <= limit for one in found if one.pareto)


def test_a_limit_of_latency_that_no_size_is_within_names_the_fastest(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"max_latency_ms: none of 4 sizes takes 0\.001 ms or less .* fastest takes .* ms: \d+x"
    ):
        sweep(tmp_path, config(trials=4, max_latency_ms=0.001))
    assert over(measured(SIZES[0], latency_ms=3.0), 2.0) == 0.5


def test_limits_that_need_no_measuring_leave_out_sizes_before_any_is_measured() -> None:
    limit = sorted(size.deployed_params(3) for size in SIZES)[9]
    assert len(within_limits(SIZES, 3, config(max_parameters=limit))) == 10
    with pytest.raises(
        InputError, match=r"^sweep_students\.max_parameters: no size has 5 or fewer; the least is .*8x1x2x8"
    ):
        within_limits(SIZES, 3, config(max_parameters=5))


MEASURED = st.builds(
    measured,
    st.sampled_from(SIZES),
    st.sampled_from([0.5, 0.6, 0.7]),
    st.sampled_from([1.0, 2.0, 3.0]),
)


@given(one=MEASURED, other=MEASURED, metric=st.sampled_from([ACCURACY, BITS_PER_PIXEL]))
def test_what_dominates_is_no_worse_in_anything_and_better_in_something(
    one: MeasuredSize, other: MeasuredSize, metric: Metric
) -> None:
    assert not dominates(one, one, metric)
    if dominates(one, other, metric):
        assert not dominates(other, one, metric)
        assert not metric.better(other.score, one.score)
        assert one.params <= other.params
        assert one.latency_ms <= other.latency_ms


def test_the_noise_of_latency_puts_no_size_on_the_front() -> None:
    good, worse = measured(SIZES[0], score=0.7, latency_ms=0.124), measured(SIZES[0], score=0.6, latency_ms=0.122)
    assert dominates(good, worse, ACCURACY)
    assert not dominates(good, replace(worse, latency_ms=0.11), ACCURACY)


def test_the_recommended_size_is_the_smallest_that_is_hardly_worse_than_the_best() -> None:
    scores = [0.60, 0.80, 0.893, 0.9, 0.9]
    tries = [Try(replace(measured(SIZES[i]), score=score, params=i), True, i < 4) for i, score in enumerate(scores)]
    table, recommended = listed(tries, 10, tolerance=0.01, metric=ACCURACY)
    assert [size.score for size in table] == scores[:4]
    assert recommended == 2
    assert listed(tries, 10, tolerance=0.0, metric=ACCURACY)[1] == 3
    assert listed(tries, 10, tolerance=0.5, metric=ACCURACY)[1] == 0


def test_of_a_long_front_the_ends_the_best_and_the_recommended_are_listed() -> None:
    front = [
        replace(measured(SIZES[i]), score=i / 100, params=100 + i, latency_ms=50.0 - (i == 31) * 40) for i in range(60)
    ]
    table, recommended = listed([Try(one, True, True) for one in front], 10, tolerance=0.05, metric=ACCURACY)
    assert len(table) == 10
    assert [size.params for size in table] == sorted(size.params for size in table)
    assert table[0] == front[0]
    assert table[-1] == front[-1]
    assert front[31] in table
    assert table[recommended] == front[57]


def test_a_sampler_that_insists_gets_the_size_that_is_left_over() -> None:
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=RandomSampler(seed=0))
    sized = {(s.embed_dim, s.depth, s.num_heads, s.mlp_dim) for s in SIZES[:-1]}
    trial, size = ask_new(study, SIZES, sized)
    assert size == SIZES[-1]
    assert suggest(trial, SIZES) == size


@pytest.mark.parametrize(("name", "kind"), [("tpe", TPESampler), ("nsga2", NSGAIISampler), ("random", RandomSampler)])
def test_every_sampler_of_the_parameters_is_optunas(name: str, kind: type) -> None:
    assert type(make_sampler(name, 0, 8)) is kind
