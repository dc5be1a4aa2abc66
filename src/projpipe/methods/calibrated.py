"""A model for each task, fitted to the teacher on a few of the task's images, then fine-tuned with distillation."""

from projpipe.methods.method import Ingredients, Method, Style
from projpipe.methods.per_task_models import PerTaskModels, stacked
from projpipe.projection.calibration import calibrated_weights

IMAGES = 128  # of a task, or as many as there are


def build(given: Ingredients) -> PerTaskModels:
    """The teacher, cut to the student's size and compensated for each task."""
    assert given.examples is not None
    inits = []
    for task in given.tasks:
        images, _ = given.examples(task, -(-IMAGES // len(task)))
        inits.append(calibrated_weights(given.source, given.student, task, images))
    return PerTaskModels(given.student, given.tasks, stacked(inits))


CALIBRATED = Method(
    name="calibrated",
    style=Style("Calibrated pruning, fine-tuned per task", "#d55e00", "bowtie", "3px,3px"),
    build=build,
    per_task=True,
    untrained_row=("calibrated_only", Style("Calibrated pruning", "#d55e00", "asterisk-open")),
)
