"""The pipeline `compare_methods`: student sizes, budgets and baselines side by side, or variants of the projector."""

from projpipe.pipelines.compare_methods.pipeline import create_pipeline

__all__ = ["create_pipeline"]
