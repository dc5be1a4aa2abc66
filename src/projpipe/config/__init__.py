"""Typed parameters: what every `conf/*/parameters.yml` may hold.

Each pipeline has a section there and a module here. Unknown keys and values out of range are refused before any node
runs.
"""

from projpipe.config.base import Config, Precision
from projpipe.config.compare_methods import (
    DEFAULT_COMPARISON,
    ComparedMethod,
    CompareMethodsConfig,
    Comparison,
    ComparisonTable,
)
from projpipe.config.evaluate import EvaluateConfig, LatencyConfig
from projpipe.config.extract_teacher import (
    Augmentation,
    ClassificationConfig,
    ExtractTeacherConfig,
    ImageModelingConfig,
    PatchTokens,
    PixelTokens,
    TeacherTraining,
)
from projpipe.config.split_tasks import (
    HELD_OUT_KINDS,
    DigitsSource,
    ExplicitTask,
    FashionMnistSource,
    HeldOutClasses,
    ImageFolderSource,
    ImageSource,
    Kind,
    OmniglotSource,
    SampledTasks,
    SplitFolders,
    SplitFractions,
    SplitTasksConfig,
    TaskCounts,
    TaskDraw,
    WholeGroups,
)
from projpipe.config.sweep_students import SweepStudentsConfig
from projpipe.config.train_projector import (
    ConditioningConfig,
    MethodSchedule,
    OptimisationConfig,
    RateSearch,
    RateShares,
    RayConfig,
    StudentConfig,
    TrainProjectorConfig,
)

__all__ = [
    "DEFAULT_COMPARISON",
    "HELD_OUT_KINDS",
    "Augmentation",
    "ClassificationConfig",
    "CompareMethodsConfig",
    "ComparedMethod",
    "Comparison",
    "ComparisonTable",
    "ConditioningConfig",
    "Config",
    "DigitsSource",
    "EvaluateConfig",
    "ExplicitTask",
    "ExtractTeacherConfig",
    "FashionMnistSource",
    "HeldOutClasses",
    "ImageFolderSource",
    "ImageModelingConfig",
    "ImageSource",
    "Kind",
    "LatencyConfig",
    "MethodSchedule",
    "OmniglotSource",
    "OptimisationConfig",
    "PatchTokens",
    "PixelTokens",
    "Precision",
    "RateSearch",
    "RateShares",
    "RayConfig",
    "SampledTasks",
    "SplitFolders",
    "SplitFractions",
    "SplitTasksConfig",
    "StudentConfig",
    "SweepStudentsConfig",
    "TaskCounts",
    "TaskDraw",
    "TeacherTraining",
    "TrainProjectorConfig",
    "WholeGroups",
]
