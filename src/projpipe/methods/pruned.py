"""The teacher pruned for each task, then fine-tuned for it with distillation."""

from collections.abc import Sequence

from projpipe.methods.method import ClassIds, Ingredients, Method, Style
from projpipe.methods.per_task_models import PerTaskModels, stacked
from projpipe.methods.pruning import prune_for_task, pruned_spec
from projpipe.tasks.task import median_by_size
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.export import export_student
from projpipe.transformer.spec import TransformerSpec

EXAMPLES = 64  # images of every class, to rank units by


def pruned_shape(source: TransformerSpec, student: TransformerSpec, tasks: Sequence[ClassIds]) -> TransformerSpec:
    """To what the teacher is pruned: as many parameters as a student has for the median task.

    Raises:
        InputError: the student is smaller than pruning can make the teacher.
    """
    classes = len(median_by_size(tasks))
    return pruned_spec(source, classes, student.deployed_params(classes))


def build(given: Ingredients) -> PerTaskModels:
    """The teacher pruned for each task."""
    assert given.examples is not None
    shape = pruned_shape(given.source.spec, given.student, given.tasks)
    teacher = export_student(given.source.spec, given.source.weights)
    pruned = []
    for task in given.tasks:
        images, targets = given.examples(task, EXAMPLES)
        pruned.append(canonical_weights(prune_for_task(teacher, images, targets, task, shape)))
    return PerTaskModels(shape, given.tasks, stacked(pruned))


PRUNED = Method(
    name="pruned",
    style=Style("Pruned teacher, fine-tuned per task", "#000000", "x", "3px,6px"),
    build=build,
    per_task=True,
    untrained_row=("pruned_only", Style("Pruned teacher", "#000000", "cross")),
    refuse=pruned_shape,
)
