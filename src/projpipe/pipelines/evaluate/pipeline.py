"""The pipeline `evaluate`: results, metrics, timings, figures and the report."""

from kedro.pipeline import Pipeline, node

from projpipe.evaluation.trained_methods import DATASETS, restore_methods
from projpipe.methods.registry import main_methods
from projpipe.pipelines.evaluate import nodes

HISTORIES = [f"{method}_history" for method in main_methods()]


def create_pipeline() -> Pipeline:
    """From trained methods to the report."""
    return Pipeline(
        [
            node(
                func=restore_methods,
                inputs=DATASETS,
                outputs="methods",
                name="restore_methods_node",
            ),
            node(
                func=nodes.evaluate_models,
                inputs=[
                    "images",
                    "index",
                    "tasks",
                    "objective",
                    "teacher_logits",
                    "methods",
                    "params:evaluate",
                ],
                outputs="results",
                name="evaluate_models_node",
            ),
            node(
                func=nodes.measure_costs,
                inputs=["teacher", "tasks", "objective", "methods"],
                outputs="costs",
                name="measure_costs_node",
            ),
            node(
                func=nodes.compute_metrics,
                inputs=["results", "costs", "dataset_card", "objective", "params:evaluate", "params:train_projector"],
                outputs=["metrics", "headline"],
                name="compute_metrics_node",
            ),
            node(
                func=nodes.measure_latency,
                inputs=["teacher", "tasks", "objective", "methods", "params:evaluate"],
                outputs="timings",
                name="measure_latency_node",
            ),
            node(
                func=nodes.describe_run,
                inputs=[
                    "projector",
                    "params:split_tasks",
                    "params:extract_teacher",
                    "params:train_projector",
                    "params:sweep_students",
                    "params:evaluate",
                ],
                outputs="run_manifest",
                name="describe_run_node",
            ),
            node(
                func=nodes.draw_scores,
                inputs="metrics",
                outputs="scores_figure",
                name="draw_scores_node",
            ),
            node(
                func=nodes.draw_learning_curves,
                inputs=["metrics", *HISTORIES],
                outputs="learning_curves_figure",
                name="draw_learning_curves_node",
            ),
            node(
                func=nodes.draw_tasks,
                inputs=["metrics", "results"],
                outputs="tasks_figure",
                name="draw_tasks_node",
            ),
            node(
                func=nodes.draw_examples,
                inputs=[
                    "teacher",
                    "images",
                    "index",
                    "tasks",
                    "objective",
                    "teacher_logits",
                    "methods",
                    "params:evaluate",
                ],
                outputs="examples",
                name="draw_examples_node",
            ),
            node(
                func=nodes.tabulate_learning_curves,
                inputs=HISTORIES,
                outputs="learning_curves_table",
                name="tabulate_learning_curves_node",
            ),
            node(
                func=nodes.write_report,
                inputs=[
                    "metrics",
                    "costs",
                    "timings",
                    "results",
                    "size_table",
                    "sweep_trials",
                    "scores_figure",
                    "learning_curves_figure",
                    "tasks_figure",
                    "pareto_figure",
                    "examples",
                    "teacher_card",
                    "dataset_card",
                    "run_manifest",
                    "params:evaluate",
                    "params:train_projector",
                ],
                outputs="report",
                name="write_report_node",
            ),
        ],
        tags="evaluate",
    )
