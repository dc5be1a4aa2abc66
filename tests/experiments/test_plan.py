"""A comparison's trials, planned and refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from projpipe.config import Comparison
from projpipe.errors import InputError
from projpipe.experiments.plan import check_sampled, check_trials, plan
from projpipe.objectives import Classification, ImageModeling
from projpipe.training.run_inputs import RunInputs


def compared(*methods: dict[str, Any], **table: Any) -> Comparison:
    return Comparison(sampled_tasks=2, tables=[{"name": "small", "seeds": [0, 1], **table, "methods": list(methods)}])


def test_a_plan_has_a_trial_a_method_and_seed_with_the_tables_and_its_own_changes(settings: Any) -> None:
    config = compared(
        {"method": "projected"},
        {"method": "distilled", "learning_rate": 0.01, "changes": {"optimisation": {"steps": 5}}},
        changes={"student": {"embed_dim": 8}},
        controls=True,
    )
    trials = plan(config, settings())
    assert [(trial.row, trial.seed, trial.controls) for trial in trials] == [
        ("projected", 0, True),
        ("projected", 1, True),
        ("distilled", 0, False),
        ("distilled", 1, False),
    ]
    assert {trial.config.student.embed_dim for trial in trials} == {8}
    assert [trial.config.optimisation.steps for trial in trials] == [12, 12, 5, 5]
    assert [trial.learning_rate for trial in trials] == [0.002, 0.002, 0.01, 0.01]
    assert trials[0].config.student.depth == settings().student.depth


SIZE = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0}
MANY = {"smallest": {"embed_dim": 6, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0}}


def test_rows_that_differ_in_the_size_that_is_judged_are_one_training(settings: Any, run_inputs: RunInputs) -> None:
    wider = {**SIZE, "embed_dim": 10}
    tables = [
        {"name": name, "seeds": [0], "methods": [{"method": "projected", "changes": MANY, "size": size}, alone]}
        for name, size in (("narrow", SIZE), ("wide", wider), ("largest", None))
        for alone in [{"method": "projected", "name": "alone", "changes": {"student": size or {}}}]
    ]
    trials = plan(Comparison(sampled_tasks=2, tables=tables), settings())
    elastic = [trial for trial in trials if trial.row == "projected"]
    assert len({trial.file() for trial in elastic}) == 1
    assert [size.embed_dim for size in elastic[2].sizes] == [8, 10]
    assert len({trial.file() for trial in trials}) == 4
    check_trials(trials, run_inputs.source.spec, Classification)
    wrong = compared({"method": "projected", "changes": MANY, "size": {**SIZE, "embed_dim": 4}})
    with pytest.raises(InputError, match=r"row 'projected', size: embed_dim 4 is below the 6 of the smallest"):
        check_trials(plan(wrong, settings()), run_inputs.source.spec, Classification)


@pytest.mark.parametrize(
    ("methods", "table", "message"),
    [
        ([{"method": "projected", "changes": {"conditioning": {"ranck": 2}}}], {}, r"conditioning\.ranck"),
        ([{"method": "projected"}], {"changes": {"optimisation": {"steps": 0}}}, r"optimisation\.steps: .*given: 0"),
        ([{"method": "static", "changes": {"learning_rates": {"static": -1}}}], {}, r"learning_rates\.static"),
        (
            [{"method": "static", "changes": {"conditionin": {"experts": 2}}}],
            {},
            "changes: conditionin: there is no such parameter; did you mean 'conditioning'",
        ),
        ([{"method": "scratch"}], {}, "scratch has no learning_rate; give it one"),
        ([{"method": "projected"}, {"method": "projected"}], {}, "'projected' stands there twice"),
        ([{"method": "projected", "name": "teacher"}], {}, "'teacher' is the name of a row that is added"),
        (
            [{"method": "static", "size": SIZE}],
            {},
            "size: is one of many sizes; give changes.smallest, or leave size out",
        ),
        (
            [{"method": "projected", "size": SIZE, "changes": MANY}],
            {"controls": True},
            "controls: are of the largest size; leave 'projected' without a size",
        ),
        ([{"method": "static"}], {"controls": True}, r"controls: 'static' does not look at the task"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    methods: list[dict[str, Any]], table: dict[str, Any], message: str, settings: Any
) -> None:
    with pytest.raises(InputError, match=rf"compare_methods\.comparisons, table 'small'.*{message}"):
        plan(compared(*methods, **table), settings())


def test_a_changed_learning_rate_is_the_one_that_is_used(settings: Any) -> None:
    method = {"method": "static", "changes": {"learning_rates": {"static": 0.5}}}
    assert {trial.learning_rate for trial in plan(compared(method), settings())} == {0.5}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"changes": {"seeds": [7]}},
            "seeds cannot be changed for a row or within a table; give them as the table's seeds",
        ),
        ({"seeds": [1, 1]}, r"seeds \[1, 1\] repeat a value; give each once"),
    ],
)
def test_what_a_table_cannot_change_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        compared({"method": "projected"}, **table)


def test_a_table_that_goes_by_the_teachers_name_is_refused(settings: Any) -> None:
    with pytest.raises(InputError, match=r"comparisons, tables: 'teacher' is what the teacher itself goes by"):
        plan(compared({"method": "projected"}, name="teacher"), settings())


def test_tables_of_one_name_are_refused(settings: Any) -> None:
    config = compared({"method": "projected"})
    twice = config.model_copy(update={"tables": config.tables * 2})
    with pytest.raises(InputError, match=r"compare_methods\.comparisons, tables: 'small' stands there twice"):
        plan(twice, settings())


def test_trials_that_do_not_fit_the_teacher_are_refused_with_their_place(run_inputs: RunInputs, settings: Any) -> None:
    teacher, place = run_inputs.source.spec, r"compare_methods\.comparisons, table 'small', row "
    wide = plan(compared({"method": "projected"}, changes={"student": {"embed_dim": 48}}), settings())
    with pytest.raises(InputError, match=place + r"'projected': 48 wide.*make it smaller"):
        check_trials(wide, teacher, Classification)
    per_task = plan(compared({"method": "static"}, {"method": "distilled", "learning_rate": 0.1}), settings())
    check_trials(per_task, teacher, Classification)
    with pytest.raises(InputError, match=place + r"'distilled': .* not there for image_modeling; leave it out"):
        check_trials(per_task, teacher, ImageModeling)


def test_a_comparison_of_models_per_task_alone_is_refused(run_inputs: RunInputs, settings: Any) -> None:
    alone = [{"method": method, "learning_rate": 0.1} for method in ("scratch", "distilled")]
    with pytest.raises(InputError, match=r"comparisons: every row trains a model for each task; add one"):
        check_trials(plan(compared(*alone), settings()), run_inputs.source.spec, Classification)


def test_a_row_has_the_schedule_of_its_method_unless_it_says_otherwise(settings: Any) -> None:
    own = settings(schedules={"static": {"weight_decay": 0.5, "ema_decay": 0.9}})
    rows = [{"method": "static"}, {"method": "universal"}]
    changed = {"method": "static", "name": "other", "changes": {"optimisation": {"weight_decay": 0.25}}}
    static, universal, other = plan(compared(*rows, changed, seeds=[0]), own)
    assert (static.config.optimisation.weight_decay, static.config.optimisation.ema_decay) == (0.5, 0.9)
    assert universal.config.optimisation == own.optimisation
    assert (other.config.optimisation.weight_decay, other.config.optimisation.ema_decay) == (0.25, 0.9)
    assert not static.config.schedules
    table_wide = {"schedules": {"static": {"weight_decay": 0.125}}}
    static, universal = plan(compared(*rows, seeds=[0], changes=table_wide), own)
    assert (static.config.optimisation.weight_decay, static.config.optimisation.ema_decay) == (0.125, 0.9)
    assert universal.config.optimisation == own.optimisation


def test_a_specialist_without_a_shared_model_to_start_from_is_refused(settings: Any) -> None:
    rows = [{"method": "projected"}, {"method": "specialist", "learning_rate": 0.1}]
    with pytest.raises(InputError, match=r"table 'small': specialist starts from a shared model, .*add one of static"):
        plan(compared(*rows), settings())


def test_more_sampled_tasks_than_are_held_out_are_refused() -> None:
    comparison = compared({"method": "static"})  # of two sampled tasks
    check_sampled(comparison, 2)
    with pytest.raises(InputError, match="sampled_tasks: 2 is more than the 1 held-out tasks of split_tasks; lower it"):
        check_sampled(comparison, 1)
    coherent = comparison.model_copy(update={"sampled_from": "coherent"})
    with pytest.raises(InputError, match="held-out tasks of split_tasks whose classes belong together; lower it"):
        check_sampled(coherent, 1)
