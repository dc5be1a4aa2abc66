"""The loss and the schedule."""

import pytest
import torch
import torch.nn.functional as F

from projpipe.training.batches import Batch
from projpipe.training.loop import Trainer, one_cycle
from projpipe.training.methods import build
from projpipe.training.run_inputs import RunInputs
from projpipe.transformer.class_weights import MASKED
from projpipe.transformer.objectives import Classification


def batch(teacher_logits: torch.Tensor, mask: list[list[bool]]) -> Batch:
    tasks, images, classes = teacher_logits.shape
    return Batch(
        images=torch.empty(tasks, images, 1, 8, 8),
        labels=torch.zeros(tasks, images, dtype=torch.long),
        teacher_logits=teacher_logits,
        classes=torch.zeros(tasks, classes, dtype=torch.long),
        mask=torch.tensor(mask),
        familiar=torch.tensor(mask),
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


def test_free_weights_learn_faster_and_a_tuned_source_slower(run_inputs: RunInputs, settings) -> None:
    config = settings(source="tuned")
    model = build("projected", run_inputs.source, config, seed=0)
    trainer = Trainer(model, model, run_inputs.objective, config.optimisation, 0.01)
    names = {parameter: name for name, parameter in model.named_parameters()}
    peaks = {names[p]: group["peak"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert peaks["generator.free.fc1_weight"] == pytest.approx(0.05)
    assert peaks["generator.tuned_weights.fc1_weight"] == pytest.approx(0.001)
    assert peaks["generator.factors.attn_read.base"] == pytest.approx(0.01)


def test_one_cycle_warms_up_to_its_peak_and_ends_near_zero() -> None:
    rates = [one_cycle(step, 100, 0.1) for step in range(100)]
    assert max(rates) == rates[9] == 1.0
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3
