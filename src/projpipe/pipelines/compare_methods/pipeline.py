"""The pipeline that compares methods, student sizes and budgets."""

from kedro.pipeline import Pipeline, node

from projpipe.pipelines.compare_methods import nodes
from projpipe.training.gather import DATASETS, gather_run_inputs


def create_pipeline() -> Pipeline:
    """Teacher and tasks in; a summary, figures and a page of Markdown out."""
    return Pipeline(
        [
            node(
                func=gather_run_inputs,
                inputs=[*DATASETS, "params:train_projector"],
                outputs="comparison_inputs",
                name="gather_comparison_inputs_node",
            ),
            node(
                func=nodes.plan_trials,
                inputs=["params:compare_methods", "comparison_inputs", "run_store"],
                outputs="comparison_trials",
                name="plan_comparison_node",
            ),
            node(
                func=nodes.train_and_judge,
                inputs=["comparison_trials", "comparison_inputs", "tasks", "params:compare_methods", "run_store"],
                outputs="comparison_outcomes",
                name="train_and_judge_node",
            ),
            node(
                func=nodes.tabulate,
                inputs=[
                    "comparison_trials",
                    "comparison_outcomes",
                    "tasks",
                    "index",
                    "objective",
                    "teacher_logits",
                    "params:compare_methods",
                ],
                outputs=["comparison_results", "comparison_history"],
                name="tabulate_comparison_node",
            ),
            node(
                func=nodes.make_students,
                inputs=["comparison_trials", "teacher", "comparison_inputs", "tasks"],
                outputs="comparison_models",
                name="make_students_node",
            ),
            node(
                func=nodes.summarise,
                inputs=[
                    "comparison_trials",
                    "comparison_outcomes",
                    "comparison_results",
                    "comparison_models",
                    "dataset_card",
                    "objective",
                    "params:evaluate",
                    "params:compare_methods",
                ],
                outputs="comparison",
                name="summarise_comparison_node",
            ),
            node(
                func=nodes.measure_latency,
                inputs=["comparison_models", "objective", "params:evaluate"],
                outputs="comparison_timings",
                name="measure_comparison_latency_node",
            ),
            node(
                func=nodes.draw_differences,
                inputs="comparison",
                outputs="differences_figure",
                name="draw_differences_node",
            ),
            node(
                func=nodes.draw_budgets,
                inputs=["comparison", "comparison_history"],
                outputs="budgets_figure",
                name="draw_budgets_node",
            ),
            node(
                func=nodes.write_markdown,
                inputs=["comparison", "comparison_timings"],
                outputs="comparison_page",
                name="write_comparison_page_node",
            ),
        ],
        tags="compare_methods",
    )
