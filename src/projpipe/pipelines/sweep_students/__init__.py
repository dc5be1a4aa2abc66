"""The pipeline `sweep_students`: which sizes of student are worth their parameters."""

from projpipe.pipelines.sweep_students.pipeline import create_pipeline

__all__ = ["create_pipeline"]
