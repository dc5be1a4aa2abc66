"""Methods as models: untrained, and out of stored tensors."""

from __future__ import annotations

from torch import Tensor, nn

from projpipe.config import TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.methods.method import Ingredients
from projpipe.methods.registry import METHODS
from projpipe.methods.task_model import TaskModel
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.tensors import starting_with


def build(method: str, given: Ingredients) -> TaskModel:
    """A method with its initial weights.

    Raises:
        InputError: the student is not smaller than its source.
    """
    of = METHODS[method]
    sizes = None if of.per_task else given.sizes
    rate = given.config.rate_shares.offsets
    return TaskModel(of.build(given), None if sizes is None else SizeOffsets(sizes, rate))


def restore(
    method: str, models: dict[str, Tensor], seed: int, source: Source, config: TrainProjectorConfig
) -> TaskModel:
    """A trained method from stored tensors, whose names start with the seed they were trained with.

    Raises:
        InputError: the tensors hold no such seed or do not fit the student; they come from another run.
    """
    state = starting_with(f"{seed}.", models)
    model = build(method, Ingredients(source, config, seed))
    problem = "no tensors" if not state else _misfit(model, state)
    if problem:
        raise InputError(
            f"{method}_models, seed {seed}: {problem}; it was trained with other parameters. "
            "Run `kedro run --pipelines train_projector`"
        )
    model.load_state_dict(state)
    model.precompute()
    return model.eval()


def _misfit(model: nn.Module, state: dict[str, Tensor]) -> str | None:
    expected = {name: value.shape for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in state.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return f"tensor {wrong[0]} does not fit the student" if wrong else None
