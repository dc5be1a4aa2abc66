"""The pipeline that looks for good student sizes."""

from kedro.pipeline import Pipeline, node

from projpipe.pipelines.sweep_students import nodes


def create_pipeline() -> Pipeline:
    """Teacher and tasks in; every trial, the Pareto front and its figure out."""
    return Pipeline(
        [
            node(
                func=nodes.gather_sweep_inputs,
                inputs=[
                    "images",
                    "index",
                    "tasks",
                    "dataset_card",
                    "teacher",
                    "source_weights",
                    "source_statistics",
                    "teacher_logits",
                    "params:train_projector",
                    "params:sweep_students",
                ],
                outputs="sweep_inputs",
                name="gather_sweep_inputs_node",
            ),
            node(
                func=nodes.sweep,
                inputs=["sweep_inputs", "params:sweep_students", "run_store"],
                outputs=["sweep_trials", "pareto_front"],
                name="sweep_students_node",
            ),
            node(
                func=nodes.draw_pareto_front,
                inputs="sweep_trials",
                outputs="pareto_figure",
                name="draw_pareto_front_node",
            ),
        ],
        tags="sweep_students",
    )
