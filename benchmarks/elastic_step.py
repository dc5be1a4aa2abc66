"""What a training step of many sizes costs against one of the largest size alone: `python benchmarks/elastic_step.py`.

Sizes and schedule are those of `conf/cifar100` and of its comparison `sizes`. Both take turns in one process, so that
noise of the machine falls on both; medians.
"""

import time
from statistics import median

import timm
import torch

from projpipe.config import CompareMethodsConfig, ExtractTeacherConfig, TrainProjectorConfig
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Classification
from projpipe.objectives.batch import Batch
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from projpipe.teacher.activations import activation_statistics
from projpipe.training.student_trainer import StudentTrainer
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

STEPS, CLASSES = 60, 5
ENV = "cifar100"


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    parameters = CONFIG_LOADER_CLASS("conf", env=ENV, **CONFIG_LOADER_ARGS)["parameters"]
    extraction = ExtractTeacherConfig(**parameters["extract_teacher"])
    config = TrainProjectorConfig(**parameters["train_projector"])
    table = CompareMethodsConfig(**parameters["compare_methods"]).comparisons["sizes"].tables[0]
    elastic = TrainProjectorConfig(**{**parameters["train_projector"], "smallest": table.changes["smallest"]})
    assert elastic.smallest is not None
    teacher = timm.create_model(extraction.architecture, num_classes=100, **extraction.arguments).eval()
    statistics = activation_statistics(teacher, [lambda: teacher(torch.randn(8, 3, 32, 32))])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    largest, smallest = (source.spec.student(**size.model_dump()) for size in (elastic.student, elastic.smallest))
    objective = Classification([0.5] * 3, [0.25] * 3, (3, 32, 32))

    def trainer(of_sizes: SizeOffsets | None) -> StudentTrainer:
        operator = ProjectionOperator(
            source, largest, Conditioning(**config.conditioning.model_dump()), seed=0, ranked=of_sizes is not None
        )
        return StudentTrainer(TaskModel(operator, of_sizes), torch.nn.Identity(), objective, config.optimisation, 0.001)

    tasks, images = config.optimisation.tasks_per_step, config.optimisation.images_per_task
    many = Sizes(smallest, largest)
    trainers = {"one size": trainer(None), "many sizes": trainer(SizeOffsets(many))}
    taken: dict[str, list[float]] = {name: [] for name in trainers}
    for step in range(STEPS):
        classes = torch.stack([torch.randperm(100)[:CLASSES] for _ in range(tasks)])
        shape = (tasks, images)
        batch = Batch(
            images=torch.randn(*shape, 3, 32, 32),
            labels=torch.randint(CLASSES, shape),
            teacher_logits=torch.randn(*shape, CLASSES),
            classes=classes,
            mask=torch.ones_like(classes, dtype=torch.bool),
            keep_rows=torch.ones_like(classes, dtype=torch.bool),
        )
        for name, one in trainers.items():
            drawn = many.sandwich((0, step)) if one.model.sizes else ()
            start = time.perf_counter()
            one.train_step(batch, drawn)
            taken[name].append(time.perf_counter() - start)
    for name, seconds in taken.items():
        print(f"{name}: {1000 * median(seconds):.0f} ms a step, mean {1000 * sum(seconds) / STEPS:.0f}")
    print(f"ratio of means: {sum(taken['many sizes']) / sum(taken['one size']):.2f}")


if __name__ == "__main__":
    main()
