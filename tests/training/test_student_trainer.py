"""One optimisation loop for the projector and for every baseline."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.objectives import Classification
from projpipe.objectives.batch import Batch
from projpipe.training.batches import draw_batch
from projpipe.training.run_inputs import RunInputs, load_staged
from projpipe.training.student_trainer import StudentTrainer
from projpipe.transformer.class_weights import MASKED


def batch(teacher_logits: torch.Tensor, mask: list[list[bool]]) -> Batch:
    tasks, images, classes = teacher_logits.shape
    return Batch(
        images=torch.empty(tasks, images, 1, 8, 8),
        labels=torch.zeros(tasks, images, dtype=torch.long),
        teacher_logits=teacher_logits,
        classes=torch.zeros(tasks, classes, dtype=torch.long),
        mask=torch.tensor(mask),
        keep_rows=torch.tensor(mask),
    )


def test_the_loss_is_the_mean_over_tasks_of_what_each_gives_alone(objective: Classification) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 3, generator=generator), torch.randn(2, 5, 3, generator=generator)
    mask = [[True, True, True], [True, True, False]]
    together = objective.loss(student.masked_fill(~torch.tensor(mask)[:, None], MASKED), batch(teacher, mask), 0.3, 2.0)

    def alone(task: int, classes: int) -> torch.Tensor:
        own, target = student[task, :, :classes], teacher[task, :, :classes]
        distilled = F.kl_div((own / 2).log_softmax(-1), (target / 2).softmax(-1), reduction="batchmean") * 4
        return 0.7 * F.cross_entropy(own, torch.zeros(5, dtype=torch.long)) + 0.3 * distilled

    torch.testing.assert_close(together, (alone(0, 3) + alone(1, 2)) / 2)


def test_distillation_vanishes_where_the_student_is_its_teacher(objective: Classification) -> None:
    logits = torch.randn(1, 4, 3)
    assert objective.loss(logits, batch(logits, [[True] * 3]), 1.0, 2.0).abs() < 1e-6


def test_factors_and_offsets_have_their_shares_of_the_rate_and_a_tuned_source_a_tenth(
    run_inputs: RunInputs, settings
) -> None:
    config = settings(source="tuned", rate_shares={"factors": 0.5, "offsets": 5.0})
    model = build("projected", Ingredients(run_inputs.source, config, seed=0))
    trainer = StudentTrainer(model, torch.nn.Identity(), run_inputs.objective, config.optimisation, 0.01).trainer
    names = {parameter: name for name, parameter in model.named_parameters()}
    peaks = {names[p]: group["initial_lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert peaks["generator.free.fc1_weight"] == pytest.approx(0.05)
    assert peaks["generator.tuned_weights.fc1_weight"] == pytest.approx(0.001)
    assert peaks["generator.factors.attn_read"] == pytest.approx(0.005)


METHODS = ["projected", "static", "universal"]
CPU = torch.device("cpu")


def after_steps(inputs: RunInputs, folder: Path, config: Any, method: str, device: torch.device = CPU) -> Any:
    """The loss of each of three steps of five tasks, and the parameters after them."""
    data, source = load_staged(folder / inputs.stage(folder, method, {}))
    model = build(method, Ingredients(source, config, seed=0)).to(device)
    trainer = StudentTrainer(model, torch.nn.Identity(), data.objective, config.optimisation, 0.01)
    source_images = 6 if model.tunes_source else 0
    losses = []
    for step in range(3):
        batch = draw_batch(data, 5, 8, (0, step), source_images=source_images)
        losses.append(trainer.train_step(batch.to(device)))
    return losses, {name: parameter.detach().cpu() for name, parameter in model.named_parameters()}


def test_smaller_students_learn_from_the_largest_and_it_alone_from_the_teacher(
    run_inputs: RunInputs, settings: Any, tmp_path: Path
) -> None:
    smallest = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 2.0}
    config = settings(smallest=smallest, optimisation={"gradient_clip": 1e9, "distillation_weight": 1.0})
    data, source = load_staged(tmp_path / run_inputs.stage(tmp_path, "projected", {}))
    one = draw_batch(data, 5, 8, (0, 0))
    learned = []
    for taught in (one, replace(one, teacher_logits=-one.teacher_logits)):
        model = build("projected", Ingredients(source, config, seed=0))
        assert model.sizes is not None
        trainer = StudentTrainer(model, torch.nn.Identity(), data.objective, config.optimisation, 0.01)
        trainer.train_step(taught, (model.sizes.largest, model.sizes.smallest))
        learned.append({name: parameter.detach() for name, parameter in model.named_parameters()})
    told, told_otherwise = learned
    same = {name for name in told if torch.equal(told[name], told_otherwise[name])}
    assert {name for name in told if name.startswith("of_sizes.")} <= same
    assert {"generator.free.fc1_weight", "generator.free.patch_weight"}.isdisjoint(same)


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize(("method", "source_is"), [*((method, "frozen") for method in METHODS), ("projected", "tuned")])
def test_a_step_in_parts_is_the_step_at_once(
    method: str, source_is: str, parts: int, run_inputs: RunInputs, settings: Any, tmp_path: Path
) -> None:
    config = settings(source=source_is, optimisation={"tasks_per_step": 12, "accumulate": parts})
    losses, parameters = after_steps(run_inputs, tmp_path, config, method)
    at_once = settings(source=source_is, optimisation={"tasks_per_step": 12})
    expected_losses, expected = after_steps(run_inputs, tmp_path, at_once, method)
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    # AdamW divides by the size of a gradient: where that is nothing but rounding, so is what it does.
    off = torch.cat([(parameters[name] - tensor).abs().flatten() for name, tensor in expected.items()])
    assert off.quantile(0.99) < 1e-5
    assert off.mean() < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_in_bfloat16_weights_stay_float32_and_learn_nearly_the_same(
    method: str, run_inputs: RunInputs, settings: Any, tmp_path: Path
) -> None:
    losses, parameters = after_steps(run_inputs, tmp_path, settings(optimisation={"precision": "bfloat16"}), method)
    expected_losses, expected = after_steps(run_inputs, tmp_path, settings(), method)
    assert losses != expected_losses
    assert losses == pytest.approx(expected_losses, rel=0.05)
    init = build(method, Ingredients(run_inputs.source, settings(), seed=0)).state_dict()
    moved, off = 0.0, 0.0
    for name, tensor in expected.items():
        assert parameters[name].dtype == torch.float32
        moved += float((tensor - init[name]).square().sum())
        off += float((parameters[name] - tensor).square().sum())
    assert 0 < off < 0.3 * moved


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_learns_in_bfloat16_what_a_cpu_learns(
    method: str, run_inputs: RunInputs, settings: Any, tmp_path: Path
) -> None:
    config = settings(optimisation={"precision": "bfloat16", "tasks_per_step": 4, "accumulate": 2})
    losses, _ = after_steps(run_inputs, tmp_path, config, method, torch.device("cuda"))
    expected, _ = after_steps(run_inputs, tmp_path, settings(), method)
    assert losses == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("workers", "parts"), [(1, 3), (2, 4)])
def test_parts_that_do_not_divide_a_workers_tasks_are_refused(workers: int, parts: int, settings: Any) -> None:
    wrong = rf"accumulate {parts} does not divide the {4 // workers} tasks of a step that each of ray.num_workers"
    with pytest.raises(ValidationError, match=wrong):
        settings(ray={"num_workers": workers}, optimisation={"tasks_per_step": 4, "accumulate": parts})
