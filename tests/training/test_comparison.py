"""A comparison's plan and parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from projpipe.config import CompareMethodsConfig
from projpipe.errors import InputError
from projpipe.training.comparison import plan, run_comparison
from projpipe.training.part import Part, train_part
from projpipe.training.run_inputs import RunInputs

JUDGED = {"new_combination": [[0, 2], [1, 5, 6]], "new_class": [[7, 8]]}
SAMPLED = JUDGED["new_combination"]
CPU = torch.device("cpu")


def compared(*methods: dict[str, Any], **table: Any) -> CompareMethodsConfig:
    return CompareMethodsConfig(
        sampled_tasks=2, tables=[{"name": "small", "seeds": [0, 1], **table, "methods": list(methods)}]
    )


def test_a_plan_has_a_part_a_method_and_seed_with_the_tables_and_its_own_changes(settings: Any) -> None:
    config = compared(
        {"method": "projected"},
        {"method": "distilled", "learning_rate": 0.01, "changes": {"optimisation": {"steps": 5}}},
        changes={"student": {"embed_dim": 8}},
        controls=True,
    )
    parts = plan(config, settings())
    assert [(part.name, part.seed, part.controls) for part in parts] == [
        ("projected", 0, True),
        ("projected", 1, True),
        ("distilled", 0, False),
        ("distilled", 1, False),
    ]
    assert {part.config.student.embed_dim for part in parts} == {8}
    assert [part.config.optimisation.steps for part in parts] == [12, 12, 5, 5]
    assert [part.learning_rate for part in parts] == [0.002, 0.002, 0.01, 0.01]
    assert parts[0].config.student.depth == settings().student.depth


@pytest.mark.parametrize(
    ("methods", "table", "message"),
    [
        ([{"method": "projected", "changes": {"conditioning": {"ranck": 2}}}], {}, r"conditioning\.ranck"),
        ([{"method": "projected"}], {"changes": {"optimisation": {"steps": 0}}}, r"optimisation\.steps: .*given: 0"),
        ([{"method": "scratch"}], {}, "scratch has no learning_rate; give it one"),
        ([{"method": "projected"}, {"method": "projected"}], {}, "'projected' stands there twice"),
        ([{"method": "projected", "name": "teacher"}], {}, "'teacher' is the name of a row that is added"),
        ([{"method": "static"}], {"controls": True}, r"controls: 'static' does not look at the task"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    methods: list[dict[str, Any]], table: dict[str, Any], message: str, settings: Any
) -> None:
    with pytest.raises(InputError, match=rf"compare_methods\.tables \('small'\).*{message}"):
        plan(compared(*methods, **table), settings())


def test_tables_of_one_name_are_refused(settings: Any) -> None:
    config = compared({"method": "projected"})
    twice = config.model_copy(update={"tables": config.tables * 2})
    with pytest.raises(InputError, match=r"compare_methods\.tables: 'small' stands there twice"):
        plan(twice, settings())


def test_a_student_as_large_as_the_teacher_is_refused_before_work_starts(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    parts = plan(compared({"method": "projected"}, changes={"student": {"embed_dim": 48}}), settings())
    with pytest.raises(InputError, match=r"compare_methods.tables \('small'\): 48 wide.*make it smaller"):
        run_comparison(parts, run_inputs, JUDGED, SAMPLED, tmp_path)
    assert not list(tmp_path.iterdir())


def one_part(method: str, settings: Any, controls: bool = False, **changes: Any) -> Part:
    return Part("small", method, method, settings(seeds=[1], **changes), 0.005, controls)


@pytest.mark.parametrize("method", ["projected", "static", "universal_selected", "scratch", "distilled", "pruned"])
def test_every_method_is_trained_judged_and_weighed(
    method: str, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    outcome = train_part(folder, one_part(method, settings), JUDGED, SAMPLED, CPU)
    per_task = method in ("scratch", "distilled", "pruned")
    assert [row["step"] for row in outcome["history"]] == [0, 6, 12]
    assert set(outcome["scores"]) == ({"pruned_only", "method"} if method == "pruned" else {"method"})
    for accuracies in outcome["scores"].values():
        assert len(accuracies) == (2 if per_task else 3)
        assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert outcome["flops_per_step"] > 0
    assert (outcome["flops_to_make"] > 0) != per_task
    assert outcome["tasks"] == (2 if per_task else 3)


def test_controls_are_told_wrong_tasks_and_judged_on_the_same_ones(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    part = one_part("projected", settings, controls=True)
    accuracies = train_part(folder, part, JUDGED, SAMPLED, CPU)["scores"]
    assert {name: len(found) for name, found in accuracies.items()} == dict.fromkeys(
        ("method", "shuffled", "mean", "random"), 3
    )


def test_a_tuned_source_is_weighed_with_its_own_objective(run_inputs: RunInputs, tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    frozen = train_part(folder, one_part("projected", settings), JUDGED, SAMPLED, CPU)
    tuned = train_part(folder, one_part("projected", settings, source="tuned"), JUDGED, SAMPLED, CPU)
    assert tuned["flops_per_step"] > 2 * frozen["flops_per_step"]
    kept = [row for row in tuned["history"] if row["kept"]]
    assert kept[-1]["source_score"] >= tuned["history"][0]["source_score"] - 0.005


def test_a_part_is_named_by_what_decides_it_and_not_by_what_it_is_called(settings: Any) -> None:
    part = one_part("projected", settings)
    assert part.file() == replace(part, name="other", table="large").file()
    assert part.file() != replace(part, learning_rate=0.006).file()
    assert part.file() != replace(part, controls=True).file()
    assert part.file() != one_part("static", settings).file()
