"""What `conf/imagenet_vit` costs: operations that are counted, and images that have to be read for them.

    python benchmarks/imagenet_cost.py

Prints the operations of a training step of every method, counted on few tasks and images with the environment's own
teacher (random weights) and student, and how long all steps take on so many GPUs at a share of their peak; and beside
it how long it takes to read the images, at the rate at which this machine decodes generated photographs of ImageNet's
usual size. The longer of the two is what to expect.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from projpipe.config import (
    ExtractTeacherConfig,
    ImageFolderSource,
    OptimisationConfig,
    SplitTasksConfig,
    TrainProjectorConfig,
)
from projpipe.images.streamed import StreamedImages
from projpipe.methods.flops import flops_per_step
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.objectives import Classification
from projpipe.projection.source import Source
from projpipe.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from projpipe.teacher.activations import activation_statistics
from projpipe.training.batches import LabelledImages, TrainingData, draw_batch
from projpipe.training.prefetch import Chunks, prefetch
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.spec import TransformerSpec
from projpipe.transformer.timm_folder import VitArguments, create_vit

IMAGES, CLASSES = 1_281_167, 1000
METHODS = ("projected", "static", "universal")
PHOTOGRAPH = (500, 375)  # what ImageNet's images usually measure
CPU = torch.device("cpu")


def main() -> None:
    """Count, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="imagenet_vit")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of a GPU; that of an H100 in bfloat16")
    parser.add_argument("--float32-peak", type=float, default=67, help="the same in float32")
    parser.add_argument("--share", type=float, default=0.3, help="of the peak that is reached")
    parser.add_argument("--cores", type=int, default=120, help="that decode images")
    arguments = parser.parse_args()
    given = CONFIG_LOADER_CLASS("conf", env=arguments.env, **CONFIG_LOADER_ARGS)["parameters"]
    split, extraction = SplitTasksConfig(**given["split_tasks"]), ExtractTeacherConfig(**given["extract_teacher"])
    config = TrainProjectorConfig(**given["train_projector"])
    schedule = config.optimisation
    speed = 1e12 * arguments.peak * arguments.share
    assert isinstance(split.source, ImageFolderSource), f"{arguments.env} has no folder of images"
    with tempfile.TemporaryDirectory() as folder:
        decoded = images_per_second(Path(folder), split.source.image_size)
    rate = decoded * arguments.cores

    source, teacher_flops = make_source(extraction)
    print(f"decoding       {decoded:.0f} images/s on a core of this machine, {rate:,.0f} on {arguments.cores}")
    print(f"teacher        {teacher_flops / 1e9:.1f} GFLOP an image; on one GPU: its logits, then its score in float32")
    reading = IMAGES / (decoded * extraction.loading_workers)
    show(extraction.augmentation.copies * IMAGES * teacher_flops / speed, extraction.augmentation.copies * reading)
    show(IMAGES * teacher_flops / (1e12 * arguments.float32_peak * arguments.share), reading)

    images = schedule.tasks_per_step * schedule.images_per_task
    print(f"student        {images:,} images a step, {schedule.steps * images:,} in {schedule.steps:,} steps")
    data = few_images(source, extraction)
    for method in METHODS:
        step = step_flops(method, source, config, data)
        total = step * schedule.steps
        print(f"{method:14} {step / 1e12:.1f} TFLOP a step, {total / 1e15:,.0f} PFLOP in all")
        show(total / speed / arguments.gpus, schedule.steps * images / rate)
        print(f"{'':14} {images * speed * arguments.gpus / step:,.0f} images/s would keep the GPUs busy")


def show(computing: float, reading: float) -> None:
    """Seconds, as hours."""
    print(f"{'':14} computing {computing / 3600:.2f} h, reading {reading / 3600:.2f} h")


def make_source(extraction: ExtractTeacherConfig) -> tuple[Source, int]:
    """The teacher with random weights as the projection reads it, and the operations of a forward pass of one image."""
    model = create_vit(extraction.architecture, VitArguments(extraction.arguments, 3, CLASSES)).eval()
    image = torch.randn(1, 3, *model.patch_embed.img_size)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(image)
    statistics = activation_statistics(model, [lambda: model(image)])
    return Source(TransformerSpec.of(model), canonical_weights(model), statistics), counter.get_total_flops()


def few_images(source: Source, extraction: ExtractTeacherConfig) -> TrainingData:
    """One image of every class, all black, and tasks of as many classes as the environment's have in the mean."""
    side = int(extraction.arguments["img_size"] or 0)
    images = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (CLASSES, side, side, 3))
    objective, rows = Classification([0.5] * 3, [0.5] * 3, (3, side, side)), torch.arange(CLASSES)
    data = LabelledImages(objective, images, rows, rows, CLASSES, torch.zeros(1, CLASSES, CLASSES))
    tasks = [list(range(start, start + 28)) for start in range(0, 280, 28)]
    return TrainingData(data, data, data, tasks, (), tasks)


def step_flops(method: str, source: Source, config: TrainProjectorConfig, data: TrainingData) -> int:
    """Operations of a step on all GPUs together, from three small steps.

    A step costs something for its parts and workers each, something for each task, and something for each image.
    """
    model = build(method, Ingredients(source, config, seed=0))

    def count(tasks: int, images: int) -> int:
        return flops_per_step(model, draw_batch(data, tasks, images, seed=(0,)))

    base, more_tasks, more_images = count(1, 1), count(2, 1), count(1, 2)
    image = more_images - base
    task = more_tasks - base - image
    once = base - task - image
    schedule = config.optimisation
    return once * parts(schedule, config) + schedule.tasks_per_step * (task + schedule.images_per_task * image)


def parts(schedule: OptimisationConfig, config: TrainProjectorConfig) -> int:
    """How often a step multiplies what no task changes."""
    return schedule.accumulate * config.ray.num_workers


def images_per_second(folder: Path, image_size: int) -> float:
    """At which one process reads, decodes and normalises JPEGs, as a loading worker does."""
    rng = np.random.default_rng(0)
    coarse: Any = rng.integers(0, 256, (24, 32, 3), np.uint8)
    names = [f"{number}.jpg" for number in range(256)]
    for name in names:
        noise = rng.normal(0, 8, (*PHOTOGRAPH[::-1], 3))
        pixels = np.asarray(Image.fromarray(coarse).resize(PHOTOGRAPH, Image.Resampling.BICUBIC)) + noise
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name, quality=90)
    images = StreamedImages(folder, names, image_size, grey=False)
    objective = Classification([0.5] * 3, [0.5] * 3, (3, image_size, image_size))
    chunks = Chunks(objective, images, np.arange(len(names)), 32)
    items = prefetch(chunks, range(len(chunks)), 1)
    next(items)
    start = time.perf_counter()
    count = sum(len(rows) for rows, _ in items)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
