"""Students of one size, judged on validation tasks and weighed, as the sweep does it."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from makers import SWEEP_STUDENTS, elastic, make_projector
from projpipe import schemas
from projpipe.evaluation.student_sizes import SizeJudge, limited
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Classification
from projpipe.pipelines.sweep_students import nodes
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.students.student import load_student

TASKS = pd.DataFrame(
    {
        "task_id": [0, 1],
        "name": ["few", "more"],
        "class_ids": [[1, 2], [0, 2, 3]],
        "kind": "validation",
        "strategy": "random",
        "weight": 1.0,
    }
)


@pytest.fixture
def many(source: Source) -> Projector:
    return elastic(make_projector(source), measured=False)


@pytest.fixture
def judge(objective: Classification, images: torch.Tensor) -> SizeJudge:
    labels = torch.arange(len(images)) % 4
    return SizeJudge(objective, lambda rows: images[rows], labels, TASKS, batch=2, threads=1)


def model_of(projector: Projector) -> TaskModel:
    return TaskModel(projector.operator, projector.of_sizes).eval()


def test_the_first_images_of_each_class_are_kept_in_order() -> None:
    labels = torch.tensor([2, 0, 2, 2, 0, 1, 2])
    assert limited(labels, 2).tolist() == [0, 1, 2, 4, 5]
    assert limited(labels, 9).tolist() == list(range(7))


def test_a_size_is_judged_and_weighed_as_the_model_that_is_saved_of_it(
    judge: SizeJudge, many: Projector, images: torch.Tensor, tmp_path: Path
) -> None:
    size = many.sizes.smallest
    found = judge.measure(model_of(many), size)

    of_tasks = []
    for classes in TASKS["class_ids"]:
        rows = torch.cat([(judge.labels == class_id).nonzero().flatten() for class_id in classes])
        student = many.student([many.classes[class_id] for class_id in classes], size=size)
        said = student.logits(images[rows]).argmax(-1)
        of_tasks.append((torch.tensor(classes)[said] == judge.labels[rows]).float().mean().item())
    assert found.score == pytest.approx(np.mean(of_tasks), abs=1e-6)
    assert 0 <= found.interval[0] <= found.score <= found.interval[1] <= 1

    many.student([many.classes[class_id] for class_id in judge.classes], size=size).save(tmp_path / "model")
    assert found.file_bytes == (tmp_path / "model/model.safetensors").stat().st_size
    assert load_student(tmp_path / "model").spec == found.of(many.operator.spec) == size
    assert (found.params, found.macs) == (size.deployed_params(3), size.deployed_macs(3))
    assert found.latency_ms > 0


def test_a_size_says_what_its_models_take_for_none_of_their_classes(
    judge: SizeJudge, many: Projector, images: torch.Tensor
) -> None:
    spec = many.sizes.smallest
    found = judge.with_others(model_of(many), judge.measure(model_of(many), spec))
    assert found.energy_threshold is not None
    assert found.other_row is not None
    assert len(found.other_row) == spec.embed_dim
    thresholds, of_others = [], []
    for classes in TASKS["class_ids"]:
        student = many.student([many.classes[class_id] for class_id in classes], size=spec)
        logits, evidence = replace(student, other_row=found.other_row).answers(images)
        assert torch.equal(logits, student.logits(images))
        features = student.to_timm().forward_head(student.to_timm().forward_features(images), pre_logits=True)
        expected = logits.exp().mean(-1).log() - features @ torch.tensor(found.other_row)
        torch.testing.assert_close(evidence, expected, atol=1e-3, rtol=1e-3)
        of_task = torch.isin(judge.labels, torch.tensor(classes))
        thresholds.append(evidence[of_task].quantile(0.05).item())
        of_others.append(np.mean(evidence[~of_task].numpy() >= found.energy_threshold))
    assert found.energy_threshold == pytest.approx(np.mean(thresholds), abs=1e-2)
    assert found.others_kept == pytest.approx(np.mean(of_others), abs=0.05)
    assert found.noise_kept is not None
    assert 0 <= found.noise_kept <= 1


def test_scores_fall_with_the_number_of_classes_as_tasks_show(judge: SizeJudge, many: Projector) -> None:
    found = judge.measure(model_of(many), many.sizes.smallest)
    by_task = {}
    for position, classes in enumerate(TASKS["class_ids"]):
        alone = replace(judge, tasks=TASKS.iloc[[position]])
        score, _, per_doubling = alone.score(model_of(many), many.sizes.smallest)
        assert per_doubling is None
        by_task[len(classes)] = score
    assert found.per_doubling == pytest.approx((by_task[3] - by_task[2]) / np.log2(3 / 2), abs=1e-4)
    assert judge.task_classes == (2, pytest.approx(6**0.5, abs=1e-3), 3)


def test_the_sweep_lists_sizes_of_the_projector_and_every_method_makes_them(
    judge: SizeJudge, many: Projector, teacher: VisionTransformer, tmp_path: Path
) -> None:
    config = SWEEP_STUDENTS.model_copy(update={"trials": 6})
    models = {"projected": model_of(many), "universal": model_of(many)}
    trials, table = nodes.sweep(judge, many, config, tmp_path)
    schemas.TRIALS.validate(trials)
    assert len(trials) == 6
    assert 1 <= len(table.sizes) <= config.listed
    assert all(size.of(many.operator.spec) in many.sizes for size in table.sizes)
    assert all(size.energy_threshold is not None for size in table.sizes)

    front = nodes.compare_sizes(judge, models, table, many, teacher)
    schemas.PARETO_FRONT.validate(front)
    assert front.groupby("method").size().to_dict() == {
        "projected": len(table.sizes),
        "universal": len(table.sizes),
        "teacher": 1,
    }
    chosen = front[front["recommended"]]
    assert list(chosen["method"]) == ["projected"]
    of_projector = front[front["method"] == "projected"].reset_index(drop=True)
    of_universal = front[front["method"] == "universal"].reset_index(drop=True)
    pd.testing.assert_series_equal(of_projector["validation_score"], of_universal["validation_score"])


def test_more_trials_or_limits_look_among_other_sizes_in_the_same_folder(
    judge: SizeJudge, many: Projector, tmp_path: Path
) -> None:
    def tried(**changes: int) -> pd.DataFrame:
        return nodes.sweep(judge, many, SWEEP_STUDENTS.model_copy(update=changes), tmp_path)[0]

    assert many.sizes is not None
    coarse = len(many.sizes.every)
    assert len(tried(trials=coarse)) == coarse
    assert len(tried(trials=coarse + 2)) == coarse + 2
    limit = many.sizes.every[2].deployed_params(len(judge.classes))
    few = tried(trials=coarse, max_parameters=limit)
    assert len(few) > 3  # as many are within it on the coarse grid
    assert few["params"].max() <= limit


def test_of_a_projector_of_one_size_that_one_is_measured_and_how_to_get_more_is_said(
    judge: SizeJudge, source: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = make_projector(source)
    with caplog.at_level(logging.WARNING):
        trials, table = nodes.sweep(judge, one, SWEEP_STUDENTS, tmp_path)
    assert "give `train_projector.smallest` a smaller size than `student`" in caplog.text
    assert (len(trials), len(table.sizes), table.recommended) == (1, 1, 0)
    assert table.sizes[0].of(one.operator.spec) == one.operator.spec
