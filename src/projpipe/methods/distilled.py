"""A model for each task, distilled from the teacher: what people train today."""

from projpipe.methods import scratch
from projpipe.methods.method import Method, Style

DISTILLED = Method(
    name="distilled",
    style=Style("Per task, distilled", "#009e73", "star", "8px,3px"),
    build=scratch.build,
    per_task=True,
)
