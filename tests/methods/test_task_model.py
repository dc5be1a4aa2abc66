"""One interface to all methods: a student of one task, and all of them at once."""

from typing import Any

import pytest
import torch

from makers import shaken, task_model
from projpipe.methods.registry import main_methods
from projpipe.projection.source import Source
from projpipe.transformer.class_weights import MASKED
from projpipe.transformer.spec import TransformerSpec

each_method = pytest.mark.parametrize("method", main_methods())
Settings = Any  # the fixture `settings`: a miniature TrainProjectorConfig with what is changed in it


@each_method
def test_the_student_of_one_task_computes_what_the_batch_of_all_tasks_did(
    method: str, source: Source, images: torch.Tensor, settings: Settings
) -> None:
    model = shaken(task_model(method, source, settings()))
    tasks = [[9, 2, 5], [3, 0]]
    classes, mask = torch.tensor([[9, 2, 5], [3, 0, 0]]), torch.tensor([[True] * 3, [True, True, False]])
    batches = images.view(2, 16, 1, 8, 8)
    with torch.no_grad():
        (together,), _ = model(batches, classes, mask)
        assert (together[1, :, 2] == MASKED).all()
        for task, logits, batch in zip(tasks, together, batches, strict=True):
            student = model.specialise(task)
            assert student.num_classes == len(task)
            torch.testing.assert_close(student(batch), logits[:, : len(task)], atol=1e-5, rtol=0)


@each_method
def test_a_smaller_student_of_one_task_computes_what_the_batch_of_all_sizes_did(
    method: str, source: Source, images: torch.Tensor, settings: Settings
) -> None:
    smallest = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0}
    model = shaken(task_model(method, source, settings(smallest=smallest)))
    assert model.sizes is not None
    sizes = model.sizes.sandwich((0, 1))
    tasks, batches = torch.tensor([[9, 2, 5], [3, 0, 1]]), images.view(2, 16, 1, 8, 8)
    with torch.no_grad():
        of_sizes, _ = model(batches, tasks, torch.ones_like(tasks, dtype=torch.bool), sizes=sizes)
        for size, together in zip(sizes, of_sizes, strict=True):
            for task, logits, batch in zip(tasks.tolist(), together, batches, strict=True):
                student = model.specialise(task, size=size)
                found = TransformerSpec.of(student)
                assert found.describe_size() == size.describe_size()
                torch.testing.assert_close(student(batch), logits, atol=1e-5, rtol=0)


def test_static_makes_one_body_for_all_tasks_and_the_other_methods_one_for_each(
    source: Source, settings: Settings
) -> None:
    classes, mask = torch.tensor([[0, 1], [8, 9]]), torch.ones(2, 2, dtype=torch.bool)
    for method in main_methods():
        body = shaken(task_model(method, source, settings())).generator(classes, mask)["fc1.weight"]
        assert len(body) == (1 if method == "static" else 2)
        assert bool((body[0] - body[-1]).abs().max() > 1e-4) == (method != "static")
