"""One trial of a comparison: trained, judged, weighed."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import projpipe.experiments.trial as trial_module
from projpipe.config import StudentConfig
from projpipe.errors import InputError
from projpipe.experiments.trial import Trial, run_trial
from projpipe.methods.pruned import pruned_shape
from projpipe.methods.pruning import prune_for_task
from projpipe.methods.task_model import TaskModel
from projpipe.training.batches import LabelledImages
from projpipe.training.history import last_kept
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.student_trainer import image_scores
from projpipe.transformer.export import export_student

SAMPLED = [[0, 2], [1, 5, 6]]
JUDGED = [*((task, "new_combination, random") for task in SAMPLED), ([7, 8], "new_class, random")]
CPU = torch.device("cpu")


def one_trial(method: str, settings: Any, controls: bool = False, **changes: Any) -> Trial:
    return Trial("small", method, method, settings(seeds=[1], **changes), 0.005, controls)


@pytest.mark.parametrize(
    "method", ["projected", "static", "universal_selected", "scratch", "distilled", "pruned", "calibrated"]
)
def test_every_method_is_trained_judged_and_weighed(
    method: str, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    outcome = run_trial(folder, one_trial(method, settings), JUDGED, SAMPLED, CPU)
    per_task = method in ("scratch", "distilled", "pruned", "calibrated")
    assert [row.step for row in outcome.history] == [0, 6, 12]
    untrained = {f"{method}_only"} if method in ("pruned", "calibrated") else set()
    assert set(outcome.scores) == {"method", *untrained}
    for accuracies in outcome.scores.values():
        assert [len(of_classes) for of_classes in accuracies] == [2, 3, 2][: 2 if per_task else 3]
        assert {score for of_classes in accuracies for scores in of_classes for score in scores} <= {0, 1}
    assert outcome.flops_per_step > 0
    assert (outcome.flops_to_make > 0) != per_task
    assert outcome.tasks == (2 if per_task else 3)


def test_a_model_of_many_sizes_is_judged_at_each_that_a_row_is_of(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    smallest = {"embed_dim": 6, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0}
    sizes = (StudentConfig(**smallest), StudentConfig(**{**smallest, "embed_dim": 8}))
    trial = replace(one_trial("projected", settings, smallest=smallest), size=sizes[0], sizes=sizes)
    scores = run_trial(folder, trial, JUDGED, SAMPLED, CPU).scores
    assert list(scores) == ["method", "6 x 1 x 2 x 1", "8 x 1 x 2 x 1"]
    assert scores["method"] != scores["6 x 1 x 2 x 1"]


class Judging(NamedTuple):
    """One call of `image_scores`."""

    model: TaskModel
    task: list[int]
    told: torch.Tensor | None
    first_image: int


@pytest.fixture
def judged_as(monkeypatch: pytest.MonkeyPatch) -> list[Judging]:
    """Every call by which a trial judges its model, which is judged all the same."""
    calls: list[Judging] = []

    def watched(forward: partial[Any], data: LabelledImages, task: list[int], device: torch.device) -> list[Any]:
        calls.append(Judging(forward.func, task, forward.keywords["embedding"], int(data.image_ids[0])))
        return image_scores(forward, data, task, device)

    monkeypatch.setattr(trial_module, "image_scores", watched)
    return calls


def test_controls_are_told_other_tasks_and_judged_on_the_same_ones(
    run_inputs: RunInputs, tmp_path: Path, settings: Any, judged_as: list[Judging]
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    scores = run_trial(folder, one_trial("projected", settings, controls=True), JUDGED, SAMPLED, CPU).scores
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
    run_trial(folder, one_trial("static", settings), JUDGED, SAMPLED, CPU)
    validation, test = (int(run_inputs.logits.image_ids[split][0]) for split in ("validation", "test"))
    assert [call.first_image for call in judged_as] == [test] * 3 + [validation] * len(SAMPLED)


@pytest.mark.parametrize(("method", "taught"), [("scratch", False), ("distilled", True), ("universal", True)])
def test_all_but_models_from_scratch_learn_from_the_teacher(
    method: str, taught: bool, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    def losses(inputs: RunInputs) -> list[float]:
        folder = tmp_path / inputs.stage(tmp_path, "comparison", {})
        return [row.loss for row in run_trial(folder, one_trial(method, settings), JUDGED, SAMPLED, CPU).history]

    other = replace(run_inputs.logits, train_logits=run_inputs.logits.train_logits.flip(-1) * 3)
    assert (losses(run_inputs) != losses(replace(run_inputs, logits=other))) == taught


def test_a_pruned_trial_starts_at_the_teacher_pruned_for_each_task(
    run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    trial = one_trial("pruned", settings)
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    data, source = load_staged(folder)
    found = run_trial(folder, trial, JUDGED, SAMPLED, CPU).scores["pruned_only"]
    teacher, shape = (
        export_student(source.spec, source.weights),
        pruned_shape(source.spec, source.spec.student(**trial.config.student.model_dump()), SAMPLED),
    )
    for task, score in zip(SAMPLED, found, strict=True):
        rows = torch.cat([data.train.rows_of_class(class_id)[:64] for class_id in task])
        targets = torch.tensor([task.index(int(label)) for label in data.train.labels[rows]])
        pruned = prune_for_task(teacher, data.train.read(rows), targets, task, shape)
        tested = torch.cat([data.test.rows_of_class(class_id) for class_id in task])
        labels = torch.tensor([task.index(int(label)) for label in data.test.labels[tested]])
        with torch.no_grad():
            hits = pruned(data.test.read(tested)).argmax(-1) == labels
        of_classes = [hits[labels == position].float().tolist() for position in range(len(task))]
        assert score == of_classes


@pytest.mark.parametrize("shared", ["static", "universal", "constant"])
def test_a_specialist_starts_as_the_shared_model_it_is_made_of(
    shared: str, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    start = one_trial(shared, settings)
    assert not start.is_finished(folder)
    of_shared = run_trial(folder, start, JUDGED, SAMPLED, CPU).scores["method"]
    specialist = replace(one_trial("specialist", settings), start=start)
    hardly = run_trial(folder, replace(specialist, learning_rate=1e-12), JUDGED, SAMPLED, CPU)
    assert hardly.scores["method"] == of_shared[: len(SAMPLED)]
    learned = run_trial(folder, replace(specialist, learning_rate=0.02), JUDGED, SAMPLED, CPU)
    assert learned.history[-1].loss < hardly.history[-1].loss
    assert specialist.file() != replace(specialist, start=replace(start, learning_rate=0.1)).file()


def test_a_tuned_source_is_weighed_with_its_own_objective(run_inputs: RunInputs, tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    frozen = run_trial(folder, one_trial("projected", settings), JUDGED, SAMPLED, CPU)
    tuned = run_trial(folder, one_trial("projected", settings, source="tuned"), JUDGED, SAMPLED, CPU)
    assert tuned.flops_per_step > 2 * frozen.flops_per_step
    assert last_kept(tuned.history).source_score >= tuned.history[0].source_score - 0.005


@pytest.mark.parametrize("which", ["file", "model_file"])
def test_an_outcome_or_a_model_that_was_changed_is_refused(
    which: str, run_inputs: RunInputs, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "comparison", {})
    trial = one_trial("static", settings)
    outcome = run_trial(folder, trial, JUDGED, SAMPLED, CPU)
    trial.keep(folder, outcome)
    assert trial.outcome(folder) == outcome
    changed = folder / getattr(trial, which)()
    changed.write_bytes(changed.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(InputError, match=rf"{changed.name}: was changed, its checksum differs; delete it"):
        trial.outcome(folder)
    trial.keep(folder, outcome)
    for content in ("", "garbled\n", f"{64 * '0'}  other.json\n"):
        (folder / trial.checksums_file()).write_text(content)
        with pytest.raises(InputError, match=rf"{trial.checksums_file()}: was changed"):
            trial.outcome(folder)
    changed.unlink()
    assert not trial.is_finished(folder)


def test_a_trial_is_named_by_what_decides_it_and_not_by_what_it_is_called(settings: Any) -> None:
    trial = one_trial("projected", settings)
    assert trial.file() == replace(trial, row="other", table="large").file()
    assert trial.file() != replace(trial, learning_rate=0.006).file()
    assert trial.file() != replace(trial, controls=True).file()
    assert trial.file() != one_trial("static", settings).file()
