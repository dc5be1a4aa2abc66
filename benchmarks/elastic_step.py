"""What a training step of many sizes costs against one of the largest size alone: `python benchmarks/elastic_step.py`.

Both take turns in one process, so that noise of the machine falls on both; medians.
"""

import time
from statistics import median

import timm
import torch

from projpipe.config import ConditioningConfig, OptimisationConfig, StudentConfig
from projpipe.methods.task_model import TaskModel
from projpipe.objectives import Classification
from projpipe.objectives.batch import Batch
from projpipe.projection.factors import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.size_offsets import SizeOffsets
from projpipe.projection.source import Source
from projpipe.teacher.activations import activation_statistics
from projpipe.training.student_trainer import StudentTrainer
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.elastic import Sizes
from projpipe.transformer.spec import TransformerSpec

STEPS, TASKS, IMAGES, CLASSES = 60, 8, 16, 5  # as conf/cifar100 has them
LARGEST = StudentConfig(embed_dim=40, depth=2, num_heads=4, mlp_ratio=4.0)
SMALLEST = StudentConfig(embed_dim=16, depth=1, num_heads=4, mlp_ratio=2.0)
CONDITIONING = ConditioningConfig(
    templates=0, rank=0, gates=False, units=False, task_embed_dim=32, experts=16, film=True
)
SCHEDULE = OptimisationConfig(
    steps=10_000,
    tasks_per_step=TASKS,
    images_per_task=IMAGES,
    weight_decay=0.01,
    warmup_fraction=0.1,
    gradient_clip=1.0,
    ema_decay=0.99,
    distillation_weight=0.5,
    distillation_temperature=2.0,
    validate_every=1000,
    checkpoint_every=1000,
)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    sizes = {"img_size": 32, "patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 6}
    teacher = timm.create_model("vit_tiny_patch16_224", num_classes=100, **sizes).eval()
    statistics = activation_statistics(teacher, [lambda: teacher(torch.randn(8, 3, 32, 32))])
    source = Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)
    largest, smallest = (source.spec.student(**size.model_dump()) for size in (LARGEST, SMALLEST))
    objective = Classification([0.5] * 3, [0.25] * 3, (3, 32, 32))

    def trainer(of_sizes: SizeOffsets | None) -> StudentTrainer:
        operator = ProjectionOperator(
            source, largest, Conditioning(**CONDITIONING.model_dump()), seed=0, ranked=of_sizes is not None
        )
        return StudentTrainer(TaskModel(operator, of_sizes), torch.nn.Identity(), objective, SCHEDULE, 0.001)

    many = Sizes(smallest, largest)
    trainers = {"one size": trainer(None), "many sizes": trainer(SizeOffsets(many))}
    taken: dict[str, list[float]] = {name: [] for name in trainers}
    for step in range(STEPS):
        classes = torch.stack([torch.randperm(100)[:CLASSES] for _ in range(TASKS)])
        shape = (TASKS, IMAGES)
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
