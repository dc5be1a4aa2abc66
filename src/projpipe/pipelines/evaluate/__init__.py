"""The pipeline `evaluate`: every method on every held-out task, what it costs, and the report."""

from projpipe.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
