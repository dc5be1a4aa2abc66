"""What methods cost, in operations of matrix products; a multiply-accumulate counts as two."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from projpipe.methods.task_model import TaskModel
from projpipe.objectives.batch import Batch
from projpipe.transformer.class_weights import pad_tasks


def flops_per_step(model: TaskModel, batch: Batch) -> int:
    """Operations of the forward and the backward pass of one step on a batch."""
    with torch.no_grad():
        model.generator(batch.classes, batch.mask)  # what is multiplied once a training is no step's
    with FlopCounterMode(display=False) as counter:
        logits, of_source = model(**batch.inputs, sizes=model.sizes.sandwich((0,)) if model.sizes else ())
        sum(part.sum() for part in (*logits, of_source) if part is not None).backward()
    model.zero_grad()
    return counter.get_total_flops()


def flops_to_make(model: TaskModel, task: Sequence[int], device: torch.device) -> int:
    """Operations of making the weights of one model, for which no data is needed."""
    ids, mask = pad_tasks([task], device)
    with FlopCounterMode(display=False) as counter:
        model.generator(ids, mask)
    return counter.get_total_flops()
