"""The pipeline `split_tasks`: from raw images to packed images, their index, and the task table.

All that can be wrong with images or tasks is found before the first file is written.
"""

from kedro.pipeline import Pipeline, node

from projpipe.pipelines.split_tasks import nodes


def create_pipeline() -> Pipeline:
    """From a source of images to what every later pipeline reads."""
    return Pipeline(
        [
            node(
                func=nodes.read_images,
                inputs="params:split_tasks",
                outputs="raw_images",
                name="read_images_node",
            ),
            node(
                func=nodes.sample_tasks,
                inputs=["raw_images", "params:split_tasks"],
                outputs=["tasks", "held_out_classes"],
                name="sample_tasks_node",
            ),
            node(
                func=nodes.split_images,
                inputs=["raw_images", "held_out_classes", "params:split_tasks"],
                outputs=["images", "index", "dataset_card"],
                name="split_images_node",
            ),
        ],
        tags="split_tasks",
    )
