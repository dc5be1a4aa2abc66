"""Learning rates are found on validation tasks, with as many runs for each method, and none is done twice."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import create_trial

from projpipe.config import MethodSchedule, RateSearch
from projpipe.errors import InputError
from projpipe.experiments import rates
from projpipe.experiments.rates import COARSE, Point, best_point, next_points, schedules_to_try, with_learning_rates
from projpipe.experiments.study import best_validation_score, open_study
from projpipe.methods.registry import main_methods
from projpipe.metric import ACCURACY, BITS_PER_TOKEN
from projpipe.training.run_inputs import RunInputs


def test_coarse_rates_come_first_then_half_and_twice_the_best_of_them_and_then_schedules() -> None:
    scores = {Point(rate): -abs(rate - 0.003) for rate in COARSE}
    assert next_points({}, 1, ACCURACY) == list(map(Point, COARSE))
    assert next_points({Point(COARSE[1]): 0.5}, 1, ACCURACY) == [Point(rate) for rate in COARSE if rate != COARSE[1]]
    assert next_points(scores, 3, ACCURACY) == [Point(0.001), Point(0.004)]
    scores |= {Point(0.001): 9.0}
    assert next_points(scores, 3, ACCURACY) == [Point(0.004)]
    scores |= {Point(0.004): 0.0}
    assert next_points(scores, 1, ACCURACY) == []
    assert next_points(scores, 3, ACCURACY) == [Point(0.001, 1), Point(0.001, 2)]
    scores |= {Point(0.001, 2): 20.0}  # a schedule does not move the rate
    assert next_points(scores, 3, ACCURACY) == [Point(0.001, 1)]


def test_the_best_point_follows_the_direction_of_the_metric_and_is_the_lowest_of_equals() -> None:
    scores = {Point(0.008): 0.7, Point(0.002): 0.7, Point(0.002, 1): 0.7, Point(0.0005): 0.3}
    assert best_point(scores, ACCURACY) == Point(0.002)
    assert best_point(scores, BITS_PER_TOKEN) == Point(0.0005)


def test_schedules_are_spread_over_their_ranges_and_the_same_for_all() -> None:
    few, many = schedules_to_try(4), schedules_to_try(40)
    assert many[:4] == few
    for name, (lowest, highest) in {"warmup_fraction": (0.03, 0.3), "weight_decay": (0.002, 0.2)}.items():
        values = [getattr(schedule, name) for schedule in many]
        assert min(values) < lowest
        assert max(values) > highest


def test_given_rates_are_taken_as_they_are(run_inputs: RunInputs, tmp_path: Path) -> None:
    found, described = with_learning_rates(run_inputs, main_methods(), tmp_path)
    assert found is run_inputs
    assert described["static"] == {"learning_rate": 0.002, "validation_scores": {}}
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_that_is_found_is_the_methods_own(
    short: RunInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(inputs: RunInputs, methods: Any, schedules: list[Any], runs: Path) -> Any:
        assert len(schedules) == 3
        scores = {Point(0.002, position): score for position, score in enumerate((0.5, 0.4, 0.6))}
        return {"static": scores, "universal": scores | {Point(0.002): 0.9}}

    monkeypatch.setattr(rates, "_search", search)
    given = replace(short, config=short.config.model_copy(update={"rate_search": RateSearch(schedules=2)}))
    found, described = with_learning_rates(given, ["static", "universal"], tmp_path)
    own = schedules_to_try(2)[1]
    assert found.config.schedules == {"static": own}
    assert described["static"]["schedule"] == own.model_dump()
    assert described["static"]["schedule_scores"] == [0.5, 0.4, 0.6]
    assert described["universal"]["schedule"] == {}
    schedule = found.config.of_method("static").optimisation
    assert (schedule.warmup_fraction, schedule.ema_decay) == (own.warmup_fraction, own.ema_decay)
    assert found.config.of_method("universal").optimisation == short.config.optimisation


def test_fewer_schedules_than_a_study_holds_are_looked_at_alone(short: RunInputs, tmp_path: Path) -> None:
    study = open_study("small", tmp_path, ["maximize"])
    space = {"learning_rate": FloatDistribution(0.0001, 0.1), "schedule": IntDistribution(0, rates.MOST_SCHEDULES)}
    for point, score in {Point(0.002): 0.5, Point(0.002, 1): 0.6, Point(0.002, 2): 0.7}.items():
        study.add_trial(create_trial(params=point._asdict(), distributions=space, value=score))
    assert rates._scores(study, schedules_to_try(2)) == {Point(0.002): 0.5, Point(0.002, 1): 0.6}


def test_schedules_that_are_given_are_not_looked_for(short: RunInputs, tmp_path: Path) -> None:
    both = {"rate_search": RateSearch(schedules=2), "schedules": {"static": MethodSchedule(ema_decay=0.5)}}
    given = replace(short, config=short.config.model_copy(update=both))
    with pytest.raises(InputError, match=r"train_projector\.schedules: static are given, and rate_search\.schedules"):
        with_learning_rates(given, ["static"], tmp_path)


@pytest.fixture
def short(run_inputs: RunInputs, settings: Any) -> RunInputs:
    """A run of 40 steps whose rates are to be found in runs of 8."""
    schedule = {"steps": 40, "validate_every": 20}
    return replace(
        run_inputs,
        config=settings(learning_rates="auto", rate_search={"steps": 8, "schedules": 1}, optimisation=schedule),
    )


def test_rates_are_found_on_ray_and_a_study_that_was_stopped_goes_on(
    short: RunInputs, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    tell, told = rates.result_of, []

    def stop_after_five(reference: object) -> object:
        told.append(reference)
        if len(told) == 6:
            raise KeyboardInterrupt
        return tell(reference)

    with monkeypatch.context() as patch:
        patch.setattr(rates, "result_of", stop_after_five)
        with pytest.raises(KeyboardInterrupt):
            with_learning_rates(short, main_methods(), tmp_path)
    found, described = with_learning_rates(short, main_methods(), tmp_path)
    assert caplog.text.count("short run ") == (len(COARSE) + 3) * len(main_methods())  # none again
    for method in main_methods():
        scores = {Point(float(rate)): score for rate, score in described[method]["validation_scores"].items()}
        assert len(scores) == len(COARSE) + 2
        assert len(described[method]["schedule_scores"]) == 2
        assert found.config.known_rates[method] == best_point(scores, ACCURACY).learning_rate
        assert f"learning rate of {method}: " in caplog.text

    folder = next(path for path in tmp_path.iterdir() if path.name.startswith("rates-"))
    one = short.config.model_copy(
        update={
            "seeds": short.config.seeds[:1],
            "optimisation": short.config.optimisation.model_copy(update={"steps": 8, "validate_every": 2}),
        }
    )
    again = best_validation_score(str(folder), "static", one.model_dump(mode="json"), 0.008, torch.device("cpu"))
    assert described["static"]["validation_scores"]["0.008"] == pytest.approx(again, abs=1e-6)

    caplog.clear()
    assert with_learning_rates(short, main_methods(), tmp_path)[1] == described
    assert "short run " not in caplog.text


def test_a_student_that_is_too_large_is_refused_before_anything_is_staged(short: RunInputs, tmp_path: Path) -> None:
    large = short.config.student.model_copy(update={"embed_dim": 48})
    given = replace(short, config=short.config.model_copy(update={"student": large}))
    with pytest.raises(InputError, match=r"train_projector\.student: "):
        with_learning_rates(given, ["static"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tasks_of_new_classes_choose_rates_too(
    short: RunInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def search(inputs: RunInputs, methods: list[str], *_: Any) -> dict[str, dict[Point, float]]:
        searched.append(inputs.validation_tasks)
        return {method: {Point(0.002): 0.5, Point(0.002, 1): 0.4} for method in methods}

    monkeypatch.setattr(rates, "_search", search)
    given = replace(short, new_class_validation_tasks=[[7, 8]])
    found, _ = with_learning_rates(given, ["static", "constant"], tmp_path)
    assert searched == [[*short.validation_tasks, [7, 8]]]
    assert found.validation_tasks == short.validation_tasks
    assert found.config.known_rates.keys() == {"static", "constant"}


@pytest.fixture(scope="module", autouse=True)
def stop_ray():
    yield
    import ray

    ray.shutdown()
