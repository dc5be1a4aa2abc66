from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from projpipe.errors import InputError
from projpipe.objectives.teacher_logits import TeacherLogits

LOGITS = TeacherLogits(
    train_logits=torch.randn(2, 3, 5, dtype=torch.float16),
    train_affine=torch.randn(2, 3, 2, 3),
    test_class_scores=torch.randn(4, 5),
    image_ids={"train": torch.tensor([0, 3, 5]), "validation": torch.tensor([1]), "test": torch.tensor([2, 4, 6, 7])},
)
NAMES = {
    "train_logits",
    "train_affine",
    "test_class_scores",
    "train_image_ids",
    "validation_image_ids",
    "test_image_ids",
}


@pytest.mark.parametrize(
    ("given", "names"),
    [(LOGITS, NAMES), (replace(LOGITS, train_affine=None), NAMES - {"train_affine"})],
    ids=["several views", "the image alone"],
)
def test_they_come_back_from_a_file(given: TeacherLogits, names: set[str]) -> None:
    tensors = load(save(given.to_tensors()))
    assert tensors.keys() == names
    found = TeacherLogits.from_tensors(tensors).to_tensors()
    assert all(torch.equal(tensor, given.to_tensors()[name]) for name, tensor in found.items())


@pytest.mark.parametrize("name", sorted(NAMES - {"train_affine"}))
def test_a_tensor_that_is_missing_is_named(name: str) -> None:
    tensors = {key: tensor for key, tensor in LOGITS.to_tensors().items() if key != name}
    with pytest.raises(InputError, match=f"the tensor '{name}' is missing"):
        TeacherLogits.from_tensors(tensors)
