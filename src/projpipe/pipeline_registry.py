"""The pipelines, in the order data flows through them."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

WHOLE = ("split_tasks", "extract_teacher", "train_projector", "sweep_students", "evaluate")
ORDER = (*WHOLE, "compare_methods")


def register_pipelines() -> dict[str, Pipeline]:
    """Find the pipelines by name, and `__default__`: all but the long comparison.

    A run of some pipelines imports only those. Each one is a namespace, so that Kedro-Viz shows it as one box that
    opens; data sets keep their plain names.
    """
    found = find_pipelines(raise_errors=True)
    pipelines = {
        name: Pipeline(found[name], namespace=name, prefix_datasets_with_namespace=False)
        for name in ORDER
        if name in found
    }
    return {"__default__": sum((pipelines[name] for name in WHOLE if name in pipelines), Pipeline([])), **pipelines}
