"""The pipeline `extract_teacher`: make or fetch the teacher, then read it."""

from kedro.pipeline import Pipeline, node

from projpipe.pipelines.extract_teacher import nodes


def create_pipeline() -> Pipeline:
    """Images in; the teacher, its canonical weights, its activation statistics and its logits out."""
    return Pipeline(
        [
            node(
                func=nodes.choose_objective,
                inputs=["images", "index", "dataset_card", "params:extract_teacher"],
                outputs="objective",
                name="choose_objective_node",
            ),
            node(
                func=nodes.train_teacher,
                inputs=["images", "index", "dataset_card", "objective", "run_store", "params:extract_teacher"],
                outputs=["teacher", "teacher_card"],
                name="train_teacher_node",
            ),
            node(
                func=nodes.fold_teacher,
                inputs="teacher",
                outputs="source_weights",
                name="fold_teacher_node",
            ),
            node(
                func=nodes.measure_activations,
                inputs=["teacher", "images", "index", "dataset_card", "objective", "params:extract_teacher"],
                outputs="source_statistics",
                name="measure_activations_node",
            ),
            node(
                func=nodes.cache_teacher_logits,
                inputs=["teacher", "images", "index", "dataset_card", "objective", "params:extract_teacher"],
                outputs="teacher_logits",
                name="cache_teacher_logits_node",
            ),
        ],
        tags="extract_teacher",
    )
