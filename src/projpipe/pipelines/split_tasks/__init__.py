"""The pipeline `split_tasks`: images, how they are split, and the tasks to train and to judge on."""

from projpipe.pipelines.split_tasks.pipeline import create_pipeline

__all__ = ["create_pipeline"]
