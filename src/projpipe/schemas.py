"""Table schemas: every parquet file of the project is checked against one of these when it is saved and loaded."""

import pandera.pandas as pa

from projpipe.images.dataset_card import SPLITS
from projpipe.methods.registry import METHODS
from projpipe.tasks.task import KINDS, STRATEGIES
from projpipe.transformer.spec import SIZE

REGISTERED = pa.Check(lambda name: name in METHODS, element_wise=True, error="a registered method")


def _distinct_classes(class_ids: object) -> bool:
    ids = list(class_ids)  # type: ignore[call-overload]
    return len(ids) >= 1 and len(set(ids)) == len(ids)


LISTS_CLASSES = pa.Check(_distinct_classes, element_wise=True, error="one or more distinct")

IMAGE_INDEX = pa.DataFrameSchema(
    {
        "image_id": pa.Column("int64", pa.Check.ge(0), unique=True),
        "class_id": pa.Column("int64", pa.Check.ge(0)),
        "class_name": pa.Column(str),
        "group": pa.Column(str),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
    },
    strict=True,
    name="index.parquet",
)

TASKS = pa.DataFrameSchema(
    {
        "task_id": pa.Column("int64", pa.Check.ge(0), unique=True),
        "name": pa.Column(str),
        "class_ids": pa.Column(object, LISTS_CLASSES),
        "kind": pa.Column(str, pa.Check.isin(KINDS)),
        "strategy": pa.Column(str, pa.Check.isin(STRATEGIES)),
        "weight": pa.Column("float64", pa.Check.gt(0)),
    },
    strict=True,
    name="tasks.parquet",
)

HISTORY = pa.DataFrameSchema(
    {
        "method": pa.Column(str, REGISTERED),
        "seed": pa.Column("int64"),
        "step": pa.Column("int64", pa.Check.ge(0)),
        "loss": pa.Column("float64", nullable=True),
        "validation_score": pa.Column("float64", pa.Check.ge(0)),
        "source_score": pa.Column("float64", pa.Check.ge(0), nullable=True),
        "kept": pa.Column("bool"),  # whether the model was the best so far
    },
    strict=True,
    name="history",
)

_SIZE = {
    "embed_dim": pa.Column("int64", pa.Check.gt(0)),
    "depth": pa.Column("int64", pa.Check.gt(0)),
    "num_heads": pa.Column("int64", pa.Check.gt(0)),
    "mlp_dim": pa.Column("int64", pa.Check.gt(0)),
    "params": pa.Column("int64", pa.Check.gt(0)),
    "latency_ms": pa.Column("float64", pa.Check.ge(0)),
    "validation_score": pa.Column("float64", pa.Check.ge(0)),
}

TRIALS = pa.DataFrameSchema(
    {
        "trial": pa.Column("int64", pa.Check.ge(0), unique=True),
        **_SIZE,
        "macs": pa.Column("int64", pa.Check.gt(0)),
        "file_bytes": pa.Column("int64", pa.Check.gt(0)),
        "low": pa.Column("float64", pa.Check.ge(0)),  # ends of the score's 95 % interval
        "high": pa.Column("float64", pa.Check.ge(0)),
        "within_limits": pa.Column(bool),
        "pareto": pa.Column(bool),
    },
    strict=True,
    name="sweep_trials.parquet",
)

PARETO_FRONT = pa.DataFrameSchema(
    {
        "method": pa.Column(str, pa.Check(lambda name: name == "teacher" or name in METHODS, element_wise=True)),
        **_SIZE,
        "recommended": pa.Column(bool),
    },
    unique=["method", *SIZE],
    strict=True,
    name="pareto_front.parquet",
)

RESULTS = pa.DataFrameSchema(
    {
        "method": pa.Column(str),
        "seed": pa.Column("int64"),
        "task_id": pa.Column("int64", pa.Check.ge(0)),
        "task_name": pa.Column(str),
        "kind": pa.Column(str, pa.Check.isin(KINDS)),
        "strategy": pa.Column(str, pa.Check.isin(STRATEGIES)),
        "class_ids": pa.Column(object, LISTS_CLASSES),
        "num_classes": pa.Column("int64", pa.Check.ge(1)),
        "images": pa.Column("int64", pa.Check.gt(0)),
        "score": pa.Column("float64", pa.Check.ge(0)),
        "image_scores": pa.Column(object),  # of the test images of each class, in the order of class_ids
    },
    unique=["method", "seed", "task_id"],
    strict=True,
    name="results.parquet",
)

COMPARISON_RESULTS = pa.DataFrameSchema(
    {"table": pa.Column(str), **RESULTS.columns},
    unique=["table", "method", "seed", "task_id"],
    strict=True,
    name="comparison/results.parquet",
)

COMPARISON_HISTORY = pa.DataFrameSchema(
    {
        "table": pa.Column(str),
        "name": pa.Column(str),
        "method": pa.Column(str, REGISTERED),
        "seed": pa.Column("int64"),
        "step": pa.Column("int64", pa.Check.ge(0)),
        "validation_score": pa.Column("float64", pa.Check.ge(0)),
    },
    strict=True,
    name="comparison/history.parquet",
)
