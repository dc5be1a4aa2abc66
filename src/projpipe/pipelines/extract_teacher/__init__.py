"""The pipeline `extract_teacher`: the large Transformer, and all that is read off it."""

from projpipe.pipelines.extract_teacher.pipeline import create_pipeline

__all__ = ["create_pipeline"]
