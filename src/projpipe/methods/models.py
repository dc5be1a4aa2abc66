"""Methods as models: untrained, and out of stored tensors."""

from __future__ import annotations

from torch import Tensor

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.methods.method import Ingredients
from projpipe.methods.registry import METHODS
from projpipe.methods.task_model import TaskModel
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.tensors import load_weights, starting_with


def build(method: str, given: Ingredients) -> TaskModel:
    """A method with its initial weights.

    Raises:
        InputError: the student is not smaller than its source.
    """
    of = METHODS[method]
    sizes = None if of.per_task else given.sizes
    return TaskModel(of.build(given), None if sizes is None else SizeOffsets(sizes))


def restore(
    method: str, models: dict[str, Tensor], seed: int, source: Source, config: TrainProjectorConfig
) -> TaskModel:
    """A trained method from stored tensors, whose names start with the seed they were trained with.

    Raises:
        InputError: the tensors hold no such seed or do not fit the student; they come from another run.
    """
    state = starting_with(f"{seed}.", models)
    model = build(method, Ingredients(source, config, seed))
    try:
        load_weights(model, state)
    except InputError as error:
        raise InputError(
            f"{method}_models, seed {seed}: {error}; it was trained with other parameters. "
            "Run `kedro run --pipelines train_projector`"
        ) from error
    model.precompute()
    return model.eval()
