"""The pipeline that trains the projector, the static projection and the universal conditional model."""

from kedro.pipeline import Pipeline, node

from projpipe.methods.registry import main_methods
from projpipe.pipelines.train_projector import nodes
from projpipe.training.gather import DATASETS, gather_run_inputs


def create_pipeline() -> Pipeline:
    """Teacher and tasks in; a projector folder, and the models of every method and seed out."""
    training = [
        node(
            func=nodes.trainer_of(method),
            inputs=["run_inputs", "run_store"],
            outputs=[f"{method}_models", f"{method}_history"],
            name=f"train_{method}_node",
        )
        for method in main_methods()
    ]
    return Pipeline(
        [
            node(
                func=gather_run_inputs,
                inputs=[*DATASETS, "params:train_projector"],
                outputs="gathered_inputs",
                name="gather_run_inputs_node",
            ),
            node(
                func=nodes.choose_learning_rates,
                inputs=["gathered_inputs", "run_store"],
                outputs=["run_inputs", "learning_rates"],
                name="choose_learning_rates_node",
            ),
            *training,
            node(
                func=nodes.assemble_projector,
                inputs=[
                    "run_inputs",
                    "projected_models",
                    "projected_history",
                    "dataset_card",
                    "teacher_card",
                    "params:train_projector",
                ],
                outputs="projector",
                name="assemble_projector_node",
            ),
        ],
        tags="train_projector",
    )
