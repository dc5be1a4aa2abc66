"""The pipeline `evaluate`: results, metrics, timings, figures and the report."""

from kedro.pipeline import Pipeline, node

from projpipe.pipelines.evaluate import nodes

HISTORIES = ["projected_history", "static_history", "universal_history"]


def create_pipeline() -> Pipeline:
    """From trained methods to the report."""
    return Pipeline(
        [
            node(
                func=nodes.restore_methods,
                inputs=[
                    "teacher",
                    "projected_models",
                    "static_models",
                    "universal_models",
                    "source_weights",
                    "source_statistics",
                    "projector",
                    "params:train_projector",
                ],
                outputs="methods",
                name="restore_methods_node",
            ),
            node(
                func=nodes.evaluate_models,
                inputs=[
                    "images",
                    "index",
                    "tasks",
                    "dataset_card",
                    "teacher_logits",
                    "methods",
                    "params:evaluate",
                ],
                outputs="results",
                name="evaluate_models_node",
            ),
            node(
                func=nodes.measure_costs,
                inputs=["teacher", "tasks", "dataset_card", "methods"],
                outputs="costs",
                name="measure_costs_node",
            ),
            node(
                func=nodes.compute_metrics,
                inputs=["results", "costs", "dataset_card", "params:evaluate", "params:train_projector"],
                outputs="metrics",
                name="compute_metrics_node",
            ),
            node(
                func=nodes.measure_latency,
                inputs=["teacher", "tasks", "dataset_card", "methods", "params:evaluate"],
                outputs="timings",
                name="measure_latency_node",
            ),
            node(
                func=nodes.draw_accuracy,
                inputs="metrics",
                outputs="accuracy_figure",
                name="draw_accuracy_node",
            ),
            node(
                func=nodes.draw_learning_curves,
                inputs=HISTORIES,
                outputs="learning_curves_figure",
                name="draw_learning_curves_node",
            ),
            node(
                func=nodes.draw_tasks,
                inputs="results",
                outputs="tasks_figure",
                name="draw_tasks_node",
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
                    "sweep_trials",
                    "accuracy_figure",
                    "learning_curves_figure",
                    "tasks_figure",
                    "pareto_figure",
                    "teacher_card",
                    "dataset_card",
                    "params:evaluate",
                    "params:train_projector",
                ],
                outputs="report",
                name="write_report_node",
            ),
        ],
        tags="evaluate",
    )
