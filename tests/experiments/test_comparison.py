"""A comparison's plan and parts."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pydantic import ValidationError

import projpipe.experiments.trial as part_module
from projpipe.config import Comparison
from projpipe.errors import InputError
from projpipe.experiments.comparison import run_comparison, steps_done
from projpipe.experiments.plan import check_parts, check_sampled, plan
from projpipe.experiments.trial import Part, pruned_shape, train_part
from projpipe.methods.pruning import prune_for_task
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Classification, ImageModeling
from projpipe.training.batches import LabelledImages
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.trainer import task_score
from projpipe.transformer.export import export_student

SAMPLED = [[0, 2], [1, 5, 6]]
JUDGED = [*((task, "new_combination, random") for task in SAMPLED), ([7, 8], "new_class, random")]
CPU = torch.device("cpu")


def compared(*methods: dict[str, Any], **table: Any) -> Comparison:
    return Comparison(sampled_tasks=2, tables=[{"name": "small", "seeds": [0, 1], **table, "methods": list(methods)}])


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
        ([{"method": "static", "changes": {"learning_rates": {"static": -1}}}], {}, r"learning_rates\.static"),
        (
            [{"method": "static", "changes": {"conditionin": {"rank": 2}}}],
            {},
            "changes: conditionin: there is no such parameter; did you mean 'conditioning'",
        ),
        ([{"method": "scratch"}], {}, "scratch has no learning_rate; give it one"),
        ([{"method": "projected"}, {"method": "projected"}], {}, "'projected' stands there twice"),
        ([{"method": "projected", "name": "teacher"}], {}, "'teacher' is the name of a row that is added"),
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
    assert {part.learning_rate for part in plan(compared(method), settings())} == {0.5}


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
    with pytest.raises(
        InputError, match=r"compare_methods\.comparisons, tables: 'teacher' is what the teacher itself goes by"
    ):
        plan(compared({"method": "projected"}, name="teacher"), settings())


def test_tables_of_one_name_are_refused(settings: Any) -> None:
    config = compared({"method": "projected"})
    twice = config.model_copy(update={"tables": config.tables * 2})
    with pytest.raises(InputError, match=r"compare_methods\.comparisons, tables: 'small' stands there twice"):
        plan(twice, settings())


def test_parts_that_do_not_fit_the_teacher_are_refused_with_their_place(run_inputs: RunInputs, settings: Any) -> None:
    teacher, place = run_inputs.source.spec, r"compare_methods\.comparisons, table 'small', row "
    wide = plan(compared({"method": "projected"}, changes={"student": {"embed_dim": 48}}), settings())
    with pytest.raises(InputError, match=place + r"'projected': 48 wide.*make it smaller"):
        check_parts(wide, teacher, Classification)
    per_task = plan(compared({"method": "static"}, {"method": "distilled", "learning_rate": 0.1}), settings())
    check_parts(per_task, teacher, Classification)
    with pytest.raises(InputError, match=place + r"'distilled': .* not there for image_modeling; leave it out"):
        check_parts(per_task, teacher, ImageModeling)


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


class Judging(NamedTuple):
    """One call of `task_score`."""

    model: TaskModel
    task: list[int]
    told: torch.Tensor | None
    first_image: int


@pytest.fixture
def judged_as(monkeypatch: pytest.MonkeyPatch) -> list[Judging]:
    """Every call by which a part judges its model, which is judged all the same."""
    calls: list[Judging] = []

    def watched(forward: Any, data: LabelledImages, task: list[int], device: torch.device) -> float:
        model, told = (forward.func, forward.keywords["embedding"]) if isinstance(forward, partial) else (forward, None)
        calls.append(Judging(model, task, told, int(data.image_ids[0])))
        return task_score(forward, data, task, device)

    monkeypatch.setattr(part_module, "task_score", watched)
    return calls


def test_controls_are_told_other_tasks_and_judged_on_the_same_ones(
    run_inputs: RunInputs, tmp_path: Path, settings: Any, judged_as: list[Judging]
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    scores = train_part(folder, one_part("projected", settings, controls=True), JUDGED, SAMPLED, CPU)["scores"]
    assert {name: len(found) for name, found in scores.items()} == dict.fromkeys(
        ("method", "shuffled", "mean", "random"), 3
    )
    tasks = [task for task, _ in JUDGED]
    assert [call.task for call in judged_as[:12]] == 4 * tasks
    model = judged_as[0].model
    own = torch.stack([model.embed(task) for task in tasks])
    method, shuffled, mean, drawn = ([call.told for call in judged_as[i : i + 3]] for i in (0, 3, 6, 9))
    assert method == [None] * 3
    of_training = torch.stack([model.embed(task) for task in run_inputs.train_tasks])
    torch.testing.assert_close(torch.cat(shuffled), torch.stack([own[1], own[0], of_training[0]]))
    torch.testing.assert_close(torch.cat(mean), of_training.mean(0).expand(3, -1))
    assert (torch.cat(drawn) - own).abs().amax(1).min() > 1e-3


def test_methods_are_judged_on_test_images_and_compared_on_validation_images(
    run_inputs: RunInputs, tmp_path: Path, settings: Any, judged_as: list[Judging]
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    train_part(folder, one_part("static", settings), JUDGED, SAMPLED, CPU)
    validation, test = (int(run_inputs.logits[f"{split}_image_ids"][0]) for split in ("validation", "test"))
    assert [call.first_image for call in judged_as] == [test] * 3 + [validation] * len(SAMPLED)


@pytest.mark.parametrize(("method", "taught"), [("scratch", False), ("distilled", True), ("universal", True)])
def test_all_but_models_from_scratch_learn_from_the_teacher(
    method: str, taught: bool, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    def losses(inputs: RunInputs) -> list[float]:
        folder = tmp_path / inputs.stage(tmp_path, "comparison", {})
        return [row["loss"] for row in train_part(folder, one_part(method, settings), JUDGED, SAMPLED, CPU)["history"]]

    other = {**run_inputs.logits, "train_logits": run_inputs.logits["train_logits"].flip(-1) * 3}
    assert (losses(run_inputs) != losses(replace(run_inputs, logits=other))) == taught


def test_a_part_at_work_says_how_far_it_is(run_inputs: RunInputs, tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    parts = [one_part("static", settings), one_part("projected", settings)]
    assert steps_done(folder, parts) is None
    train_part(folder, parts[0], JUDGED, SAMPLED, CPU)
    assert steps_done(folder, parts) == (12, "step 12/24  1 at work")
    (folder / parts[0].progress_file()).unlink()
    assert steps_done(folder, parts) is None
    (folder / parts[0].file()).touch()
    assert steps_done(folder, parts) == (12, "step 12/24  0 at work")


def test_a_pruned_part_starts_at_the_teacher_pruned_for_each_task(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    part = one_part("pruned", settings)
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    data, source = load_staged(folder)
    found = train_part(folder, part, JUDGED, SAMPLED, CPU)["scores"]["pruned_only"]
    teacher, shape = export_student(source.spec, source.weights), pruned_shape(part, source.spec, SAMPLED)
    for task, score in zip(SAMPLED, found, strict=True):
        rows = torch.cat([data.train.rows_of_class(class_id)[:64] for class_id in task])
        places = torch.tensor([task.index(int(label)) for label in data.train.labels[rows]])
        pruned = prune_for_task(teacher, data.train.read(rows), places, task, shape)
        tested = torch.cat([data.test.rows_of_class(class_id) for class_id in task])
        labels = torch.tensor([task.index(int(label)) for label in data.test.labels[tested]])
        with torch.no_grad():
            hits = pruned(data.test.read(tested)).argmax(-1) == labels
        assert score == pytest.approx(hits.float().mean().item())


def test_a_student_smaller_than_pruning_can_make_the_teacher_is_refused_before_work_starts(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    student = {"embed_dim": 2, "depth": 1, "num_heads": 1}
    parts = plan(compared({"method": "pruned", "learning_rate": 0.1}, changes={"student": student}), settings())
    with pytest.raises(InputError, match=r"table 'small', row 'pruned': params: .*at least"):
        run_comparison(parts, run_inputs, JUDGED, SAMPLED, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_part_that_fails_is_named_when_the_others_have_ended(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    parts = plan(compared({"method": "static", "learning_rate": 1e30}, {"method": "universal"}, seeds=[0]), settings())
    with pytest.raises(InputError, match=r"^compare_methods\..* row 'static', seed 0: the loss is"):
        run_comparison(parts, run_inputs, JUDGED, SAMPLED, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.json") if path.name != "inputs.json"] == [parts[1].file()]


def test_a_comparison_of_models_per_task_alone_is_refused(run_inputs: RunInputs, settings: Any) -> None:
    alone = [{"method": method, "learning_rate": 0.1} for method in ("scratch", "distilled")]
    with pytest.raises(
        InputError, match=r"compare_methods\.comparisons: every row trains a model for each task; add one"
    ):
        check_parts(plan(compared(*alone), settings()), run_inputs.source.spec, Classification)


def test_more_sampled_tasks_than_are_held_out_are_refused() -> None:
    check_sampled(5, 5)
    with pytest.raises(InputError, match="sampled_tasks: 6 is more than the 5 held-out tasks of split_tasks; lower it"):
        check_sampled(6, 5)


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
