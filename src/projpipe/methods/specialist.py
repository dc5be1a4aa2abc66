"""The best shared model of a table, fine-tuned for each task: what that adds is the headroom."""

import torch

from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.per_task_models import PerTaskModels, stacked
from projpipe.transformer.class_weights import pad_tasks


@torch.no_grad()
def build(given: Ingredients) -> PerTaskModels:
    """What the shared model is for each task."""
    assert given.shared is not None
    inits = []
    for task in given.tasks:
        made = given.shared(*pad_tasks([task]))
        inits.append({name: tensor[0] for name, tensor in made.items()})
    return PerTaskModels(given.shared.spec, given.tasks, stacked(inits))


SPECIALIST = Method(
    name="specialist",
    style=Style("Best shared model, fine-tuned per task", "#f0e442", "star-triangle-up", "4px,2px"),
    build=build,
    per_task=True,
    starts_from_shared=True,
)
