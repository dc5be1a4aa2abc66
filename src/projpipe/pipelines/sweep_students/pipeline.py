"""The pipeline that looks for good student sizes."""

from kedro.pipeline import Pipeline, node

from projpipe.evaluation.trained_methods import DATASETS, restore_methods
from projpipe.methods.registry import main_methods
from projpipe.pipelines.sweep_students import nodes


def create_pipeline() -> Pipeline:
    """Trained methods in; every size that was tried, the projector's size table and its figure out."""
    return Pipeline(
        [
            node(
                func=restore_methods,
                inputs=DATASETS,
                outputs="methods_of_all_seeds",
                name="restore_methods_of_all_seeds_node",
            ),
            node(
                func=nodes.best_seeds,
                inputs=["methods_of_all_seeds", "objective", *(f"{method}_history" for method in main_methods())],
                outputs="best_methods",
                name="best_seeds_node",
            ),
            node(
                func=nodes.judge_of_sizes,
                inputs=["images", "index", "tasks", "objective", "teacher_logits", "params:sweep_students"],
                outputs="judge_of_sizes",
                name="judge_of_sizes_node",
            ),
            node(
                func=nodes.sweep,
                inputs=["judge_of_sizes", "projector", "params:sweep_students", "run_store"],
                outputs=["sweep_trials", "size_table"],
                name="sweep_students_node",
            ),
            node(
                func=nodes.compare_sizes,
                inputs=["judge_of_sizes", "best_methods", "size_table", "projector", "teacher"],
                outputs="pareto_front",
                name="compare_sizes_node",
            ),
            node(
                func=nodes.draw_sizes,
                inputs=["pareto_front", "sweep_trials", "objective"],
                outputs="pareto_figure",
                name="draw_sizes_node",
            ),
        ],
        tags="sweep_students",
    )
