"""Nodes that read images, draw tasks, and split the images."""

from pathlib import Path

import pandas as pd
from kedro.utils import find_kedro_project

from projpipe.config import SplitTasksConfig
from projpipe.images.dataset_card import DatasetCard
from projpipe.images.index import build_index, describe
from projpipe.images.raw import RawImages
from projpipe.images.sources import read_source
from projpipe.images.streamed import Images
from projpipe.tasks import draw
from projpipe.tasks.classes import Classes, hold_out
from projpipe.tasks.task import task_table


def read_images(config: SplitTasksConfig) -> RawImages:
    """Read all images of the source (digits, Fashion-MNIST, Omniglot or a folder of images) with their classes."""
    images = read_source(config.source, find_kedro_project(Path.cwd()) or Path.cwd())
    return images if config.images_per_class is None else images.first(config.images_per_class)


def sample_tasks(raw_images: RawImages, config: SplitTasksConfig) -> tuple[pd.DataFrame, list[int]]:
    """Draw the tasks: distinct sets of classes to tell apart.

    Some are trained on, some choose checkpoints, and some are kept for judging: new combinations of known classes, and
    sets of classes that are held out from all training tasks. Out come all held-out classes, too: those to judge on and
    those to choose by.
    """
    classes = Classes(raw_images.classes, raw_images.groups)
    held_out = hold_out(classes, config.held_out_classes, config.seed)
    chosen_by = hold_out(classes, config.validation_classes, config.seed, "validation_classes", without=held_out)
    tasks = draw.sample_tasks(classes, held_out, config.tasks, config.seed, chosen_by)
    draw.check_known(tasks, classes)
    return task_table(tasks, classes), sorted({*held_out, *chosen_by})


def split_images(
    raw_images: RawImages, held_out_classes: list[int], config: SplitTasksConfig
) -> tuple[Images, pd.DataFrame, DatasetCard]:
    """Split every class's images into train, validation and test, and describe the data set.

    Out come the images, packed in one array or as a list of files, the index that says what each of them is, and a card
    with class names, the train split's mean and deviation, the images that could not be read, and a hash of it all.
    """
    index = build_index(raw_images, config.split, config.seed)
    title = config.title or config.source.name
    return raw_images.images, index, describe(title, raw_images, index, held_out_classes)
