"""The pipeline `train_projector`: the projector, the static projection and the universal conditional model."""

from projpipe.pipelines.train_projector.pipeline import create_pipeline

__all__ = ["create_pipeline"]
