"""What a teacher says of every image: what students are taught, and what it is judged by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from projpipe.errors import InputError
from projpipe.images.dataset_card import SPLITS


@dataclass(frozen=True)
class TeacherLogits:
    """Logits of `A` views of each of the `N` training images, and how test images score under each of `K` classes.

    Args:
        train_logits: `[A, N, ...]`, as `teacher_logits` of the objective gives them.
        train_affine: the views `[A, N, 2, 3]`; None where there is only the image itself.
        test_class_scores: `[N_test, K]`, as `class_scores` of the objective gives them.
        image_ids: rows of the images `[N]` of each split, in the order of the logits and the scores.
    """

    train_logits: Tensor
    train_affine: Tensor | None
    test_class_scores: Tensor
    image_ids: Mapping[str, Tensor]

    def to_tensors(self) -> dict[str, Tensor]:
        """The content of `teacher_logits.safetensors`."""
        return {
            "train_logits": self.train_logits,
            **({} if self.train_affine is None else {"train_affine": self.train_affine}),
            "test_class_scores": self.test_class_scores,
            **{f"{split}_image_ids": self.image_ids[split] for split in SPLITS},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TeacherLogits:
        """Read back what `to_tensors` gave.

        Raises:
            InputError: names the tensor that is missing.
        """
        try:
            image_ids = {split: tensors[f"{split}_image_ids"] for split in SPLITS}
            scores = tensors["test_class_scores"]
            return cls(tensors["train_logits"], tensors.get("train_affine"), scores, image_ids)
        except KeyError as error:
            raise InputError(f"the tensor {error} is missing") from error
