"""The trainer of the teacher and of every method, held to a loop that is written out."""

import pytest
import torch
from torch import nn

from projpipe.training.trainer import Schedule, Trainer, one_cycle

SCHEDULE = Schedule(steps=20, warmup_fraction=0.2, gradient_clip=0.5, ema_decay=0.8)


def model_of(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))


def groups_of(model: nn.Module) -> list[dict]:
    first, _, last = model
    return [
        {"params": list(first.parameters()), "lr": 0.1, "weight_decay": 0.3},
        {"params": list(last.parameters()), "lr": 0.01, "weight_decay": 0.0},
    ]


def loss_of(model: nn.Module, step: int) -> torch.Tensor:
    return model(torch.randn(5, 3, generator=torch.Generator().manual_seed(step))).square().sum()


def run(trainer: Trainer, steps: range) -> None:
    for step in steps:
        loss_of(trainer.model, step).backward()
        trainer.update()


def test_it_does_what_a_loop_that_is_written_out_does() -> None:
    trainer = Trainer(model := model_of(0), groups_of(model), SCHEDULE)
    run(trainer, range(6))
    plain = model_of(0)
    optimizer = torch.optim.AdamW(groups_of(plain), fused=True)
    average = [parameter.detach().clone() for parameter in plain.parameters()]
    for step in range(6):
        for group, peak in zip(optimizer.param_groups, (0.1, 0.01), strict=True):
            group["lr"] = peak * one_cycle(step, 20, 0.2)
        optimizer.zero_grad()
        loss_of(plain, step).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        decay = min(0.8, (step + 1) / (step + 11))
        for mean, parameter in zip(average, plain.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - decay)
    assert trainer.average is not None
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(trainer.average.parameters(), average, strict=True):
        assert torch.equal(mine, theirs)


def test_one_that_is_loaded_goes_on_bit_for_bit() -> None:
    whole = Trainer(model := model_of(0), groups_of(model), SCHEDULE)
    run(whole, range(7))
    kept = {name: tensor.clone() for name, tensor in whole.state_tensors().items()}
    run(whole, range(7, 12))
    other = Trainer(model := model_of(1), groups_of(model), SCHEDULE)
    other.load_state_tensors(7, kept)
    run(other, range(7, 12))
    assert other.step == whole.step == 12
    found, expected = other.state_tensors(), whole.state_tensors()
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_training_leaves_the_tensors_that_were_loaded_as_they_are() -> None:
    first = Trainer(model := model_of(0), groups_of(model), SCHEDULE)
    run(first, range(3))
    kept = {name: tensor.clone() for name, tensor in first.state_tensors().items()}
    other = Trainer(model := model_of(1), groups_of(model), SCHEDULE)
    other.load_state_tensors(3, given := {name: tensor.clone() for name, tensor in kept.items()})
    run(other, range(3, 6))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in given.items())


def test_the_average_shares_what_no_checkpoint_holds_and_nothing_else() -> None:
    model = model_of(0)
    model.register_buffer("frozen", torch.ones(3), persistent=False)
    model.register_buffer("kept", torch.ones(3))
    average = Trainer(model, [{"params": list(model.parameters()), "lr": 0.1}], SCHEDULE).average
    assert average is not None
    assert average.get_buffer("frozen") is model.get_buffer("frozen")
    assert average.get_buffer("kept") is not model.get_buffer("kept")


def test_one_cycle_warms_up_to_its_peak_and_ends_near_zero() -> None:
    rates = [one_cycle(step, 100, 0.1) for step in range(100)]
    assert max(rates) == rates[9] == 1.0
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3
