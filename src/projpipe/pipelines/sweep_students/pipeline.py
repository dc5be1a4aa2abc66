"""The pipeline that looks for good student sizes."""

from kedro.pipeline import Pipeline, node

from projpipe.pipelines.sweep_students import nodes
from projpipe.training.gather import DATASETS, gather_run_inputs


def create_pipeline() -> Pipeline:
    """Teacher and tasks in; every trial, the Pareto front and its figure out."""
    return Pipeline(
        [
            node(
                func=gather_run_inputs,
                inputs=[*DATASETS, "params:train_projector"],
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
                inputs=["sweep_inputs", "sweep_trials"],
                outputs="pareto_figure",
                name="draw_pareto_front_node",
            ),
        ],
        tags="sweep_students",
    )
