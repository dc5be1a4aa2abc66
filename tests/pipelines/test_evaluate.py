"""The pipeline on a small teacher and on untrained methods: everything but the training is real."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from timm.models.vision_transformer import VisionTransformer

from makers import SPLIT_TASKS, SWEEP_STUDENTS, dataset_card, front_of, size_table, teacher_config, tried_sizes
from projpipe import schemas
from projpipe.config import EvaluateConfig, TrainProjectorConfig
from projpipe.errors import InputError
from projpipe.evaluation.metrics import TEACHER_SEED
from projpipe.evaluation.trained_methods import restore_methods
from projpipe.methods.controls import CONTROLS
from projpipe.methods.method import Ingredients
from projpipe.methods.models import build
from projpipe.methods.registry import main_methods
from projpipe.objectives import Classification
from projpipe.objectives.teacher_card import TeacherCard
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.pipeline_registry import WHOLE
from projpipe.pipelines.evaluate import create_pipeline
from projpipe.pipelines.sweep_students.nodes import tabulate
from projpipe.projection.projector import Projector
from projpipe.projection.source import Source
from projpipe.reporting.size_figure import size_figure
from projpipe.teacher.activations import activation_statistics
from projpipe.training.provenance import tasks_sha256, tensors_sha256
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.spec import TransformerSpec

SEEDS = (0, 3)
OBJECTIVE = Classification([0.4], [0.3], (1, 8, 8))
DATASET_CARD = dataset_card(classes="0123456789", mean=(0.4,), std=(0.3,), held_out_classes=(5, 6), sha256=64 * "0")
TEACHER_CARD = TeacherCard(
    architecture="vit",
    arguments={},
    weights="random",
    license=None,
    params=1000,
    metric="accuracy",
    score={"test": 0.1},
    dataset_sha256="0" * 64,
    data={},
    training={},
    versions={},
)
TRAIN_PROJECTOR = TrainProjectorConfig.model_validate(
    {
        "seeds": SEEDS,
        "student": {"embed_dim": 12, "depth": 2, "num_heads": 3, "mlp_ratio": 2.0},
        "start": "principal",
        "source": "frozen",
        "free_weights": True,
        "conditioning": {"experts": 3, "film": True, "task_embed_dim": 8},
        "optimisation": {
            "steps": 20,
            "tasks_per_step": 2,
            "images_per_task": 4,
            "weight_decay": 0.0,
            "warmup_fraction": 0.1,
            "gradient_clip": 1.0,
            "ema_decay": 0.9,
            "distillation_weight": 0.5,
            "distillation_temperature": 2.0,
            "validate_every": 10,
            "checkpoint_every": 10,
        },
        "learning_rates": {"projected": 0.002, "static": 0.002, "universal": 0.004},
        "ray": {},
    }
)
EVALUATE = EvaluateConfig.model_validate(
    {
        "seed": 0,
        "bootstrap_samples": 100,
        "example_tasks": 2,
        "train_tasks": 1,
        "latency": {"batch_sizes": [1, 4], "threads": 1, "repeats": 5},
    }
)


def trained(method: str, source: Source) -> dict[str, torch.Tensor]:
    return {
        f"{seed}.{name}": value
        for seed in SEEDS
        for name, value in build(method, Ingredients(source, TRAIN_PROJECTOR, seed)).state_dict().items()
    }


def projector_of(source: Source, config: TrainProjectorConfig) -> Projector:
    operator = build("projected", Ingredients(source, config, 0)).projector
    provenance = {
        "parameters": config.model_dump(mode="json"),
        "teacher_sha256": tensors_sha256(source.weights),
        "dataset_sha256": "0" * 64,
        "train_tasks_sha256": tasks_sha256([[0, 1, 2], [1, 3]], [1.0, 1.0]),
    }
    return Projector(operator, OBJECTIVE, data={}, provenance=provenance)


def history(method: str) -> pd.DataFrame:
    rows = [(method, seed, step, 1.0, 0.5 + step / 100, None, True) for seed in SEEDS for step in (0, 10, 20)]
    return pd.DataFrame(rows, columns=list(schemas.HISTORY.columns))


@pytest.fixture(scope="module")
def teacher(teacher: VisionTransformer, images: torch.Tensor) -> VisionTransformer:
    """A teacher whose answers differ from image to image."""
    teacher = copy.deepcopy(teacher)
    with torch.no_grad():
        teacher.head.bias -= teacher(images).mean(0)
        teacher.head.weight *= 5
        teacher.head.bias *= 5
    return teacher


@pytest.fixture(scope="module")
def source(teacher: VisionTransformer, images: torch.Tensor) -> Source:
    statistics = activation_statistics(teacher, [lambda: teacher(images)])
    return Source(TransformerSpec.of(teacher), canonical_weights(teacher), statistics)


@pytest.fixture(scope="module")
def inputs(teacher: VisionTransformer, source: Source) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(120, 8, 8, 1), dtype=np.uint8)
    class_id = np.arange(120) % 10
    split = np.where(np.arange(120) < 60, "train", "test")
    index = pd.DataFrame(
        {
            "image_id": np.arange(120),
            "class_id": class_id,
            "class_name": [str(c) for c in class_id],
            "group": "",
            "split": split,
        }
    )
    tasks = pd.DataFrame(
        {
            "task_id": range(6),
            "name": [f"task {i}" for i in range(6)],
            "class_ids": [[0, 1, 2], [1, 3], [2, 4], [0, 2, 3], [1, 2, 3, 4], [5, 6]],
            "kind": ["train", "train", "validation", "new_combination", "new_combination", "new_class"],
            "strategy": "random",
            "weight": 1.0,
        }
    )
    test_ids = rng.permutation(np.flatnonzero(split == "test"))  # another order than the index has
    with torch.no_grad():
        class_scores = teacher(OBJECTIVE.encode(images[test_ids]))
    none = torch.zeros(0, dtype=torch.long)
    tries = tried_sizes([(12, 2, 3, 24, 2_000)], [0.7])
    trials = tabulate(tries)
    return {
        "images": images,
        "index": index.sample(frac=1, random_state=0),
        "tasks": tasks,
        "dataset_card": DATASET_CARD,
        "objective": OBJECTIVE,
        "teacher": teacher,
        "teacher_card": TEACHER_CARD,
        "teacher_logits": TeacherLogits(
            train_logits=torch.zeros(1, 0, 10),
            train_affine=None,
            test_class_scores=class_scores,
            image_ids={"train": none, "validation": none, "test": torch.from_numpy(test_ids)},
        ),
        "source_weights": source.weights,
        "source_statistics": source.statistics,
        "projector": projector_of(source, TRAIN_PROJECTOR),
        **{f"{method}_models": trained(method, source) for method in main_methods()},
        **{f"{method}_history": history(method) for method in main_methods()},
        "sweep_trials": trials,
        "size_table": size_table(tries, OBJECTIVE.metric),
        "pareto_figure": size_figure(front_of(trials), trials, OBJECTIVE.metric),
        "params:train_projector": TRAIN_PROJECTOR,
        "params:evaluate": EVALUATE,
        "params:split_tasks": SPLIT_TASKS,
        "params:extract_teacher": teacher_config(),
        "params:sweep_students": SWEEP_STUDENTS,
    }


class Kept(MemoryDataset):
    """Stays readable after the run, as a file would."""

    def _release(self) -> None:
        pass


def run(inputs: dict[str, Any]) -> dict[str, Any]:
    pipeline = create_pipeline()
    given = {name: Kept(value, copy_mode="assign") for name, value in inputs.items()}
    made = {name: Kept(copy_mode="assign") for name in pipeline.all_outputs()}
    SequentialRunner().run(pipeline, DataCatalog(given | made))
    return {name: dataset.load() for name, dataset in made.items()}


@pytest.fixture(scope="module")
def outputs(inputs: dict[str, Any]) -> dict[str, Any]:
    return run(inputs)


def test_it_reads_what_the_other_pipelines_write(inputs: dict[str, Any]) -> None:
    assert create_pipeline().inputs() == inputs.keys()


def test_nodes_have_names_of_their_own() -> None:
    assert all(node.name.endswith("_node") for node in create_pipeline().nodes)


def test_every_method_and_seed_is_judged_on_every_reported_task(outputs: dict[str, Any]) -> None:
    results = schemas.RESULTS.validate(outputs["results"])

    judged = [
        ("teacher", TEACHER_SEED),
        *((method, seed) for method in (*main_methods(), *CONTROLS) for seed in SEEDS),
    ]
    assert set(zip(results["method"], results["seed"], results["task_id"], strict=True)) == {
        (method, seed, task) for method, seed in judged for task in (0, 3, 4, 5)
    }
    assert set(results.loc[results["task_id"] == 3, "images"]) == {18}


def share_of_hits(answers: Callable[[torch.Tensor], torch.Tensor], classes: list[int], inputs: dict[str, Any]) -> float:
    """Accuracy on the test images of `classes`, image by image; `answers` gives one logit a class."""
    rows = inputs["index"].query("split == 'test' and class_id in @classes")
    with torch.no_grad():
        guesses = answers(OBJECTIVE.encode(inputs["images"][rows["image_id"].to_numpy()])).argmax(1)
    return float(np.mean([classes[guess] == label for guess, label in zip(guesses, rows["class_id"], strict=True)]))


def test_the_accuracy_of_every_student_is_that_of_its_timm_model_on_the_test_images(
    inputs: dict[str, Any], outputs: dict[str, Any], source: Source
) -> None:
    students = outputs["results"].query("method in @main_methods()")
    expected = []
    for row in students.itertuples():
        classes = inputs["tasks"]["class_ids"][row.task_id]
        task_model = build(row.method, Ingredients(source, TRAIN_PROJECTOR, row.seed)).eval()
        expected.append(share_of_hits(task_model.specialise(classes), classes, inputs))

    assert list(students["score"]) == pytest.approx(expected)
    assert len(set(expected)) > 3


def test_the_teacher_is_judged_by_its_cached_logits_as_by_itself(
    inputs: dict[str, Any], outputs: dict[str, Any], teacher: VisionTransformer
) -> None:
    rows = outputs["results"].query("method == 'teacher'")
    expected = []
    for task_id in rows["task_id"]:
        classes = inputs["tasks"]["class_ids"][task_id]
        expected.append(share_of_hits(lambda images, classes=classes: teacher(images)[:, classes], classes, inputs))

    assert list(rows["score"]) == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_metrics_hold_the_sizes_of_the_models_of_the_median_task(
    inputs: dict[str, Any], outputs: dict[str, Any], source: Source
) -> None:
    student = build("projected", Ingredients(source, TRAIN_PROJECTOR, 0)).specialise([0, 2, 3])
    metrics = outputs["metrics"]

    assert metrics["student"]["params"] == sum(p.numel() for p in student.parameters())
    assert metrics["teacher"]["params"] == sum(p.numel() for p in inputs["teacher"].parameters())
    assert metrics["results"].keys() == {"teacher", *main_methods(), *CONTROLS}
    assert outputs["timings"]["num_classes"] == 3
    assert outputs["timings"]["make_one_model"].keys() == set(main_methods())


def test_only_timings_and_report_depend_on_the_clock(inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    again = run(inputs)
    assert again["costs"] == outputs["costs"]
    for name in ("metrics", "headline", "learning_curves_table", "examples"):
        assert json.dumps(again[name]) == json.dumps(outputs[name])
    for name in ("scores_figure", "learning_curves_figure", "tasks_figure"):
        assert again[name].to_json() == outputs[name].to_json()
    pd.testing.assert_frame_equal(again["results"], outputs["results"])


def test_figures_name_no_machine_and_the_manifest_beside_them_does(outputs: dict[str, Any]) -> None:
    run = outputs["run_manifest"]
    assert (run["dataset_sha256"], list(run["parameters"])) == (DATASET_CARD.sha256, list(WHOLE))
    assert run["processor"] in outputs["report"]
    for name in ("metrics", "headline", "learning_curves_table"):
        assert run["processor"] not in json.dumps(outputs[name])


def test_the_headline_has_the_scores_on_the_first_sort_of_held_out_tasks(outputs: dict[str, Any]) -> None:
    metrics = outputs["metrics"]
    scores = {name: metrics["results"][name]["new_combination"]["mean"] for name in ("teacher", *main_methods())}
    assert outputs["headline"] == {**scores, "fewer_params": metrics["reduction"]["params"]}


def test_learning_curves_are_records_for_dvc_plots(outputs: dict[str, Any]) -> None:
    assert len(outputs["learning_curves_table"]) == 18
    second = {"method": "projected", "seed": 0, "step": 10, "validation_score": 0.6}
    assert outputs["learning_curves_table"][1] == second


def test_the_report_is_of_this_data_set(outputs: dict[str, Any]) -> None:
    assert "<title>projpipe: noise</title>" in outputs["report"]


def test_models_that_lack_a_seed_are_refused(inputs: dict[str, Any], source: Source) -> None:
    fewer = {name: value for name, value in inputs["static_models"].items() if not name.startswith("3.")}
    given = [inputs[name] for name in ("projector", "dataset_card", "tasks", "params:train_projector")]
    models = [inputs["projected_models"], fewer, inputs["universal_models"]]
    with pytest.raises(InputError, match="static_models, seed 3"):
        restore_methods(inputs["teacher"], source.weights, source.statistics, *given, *models)


@pytest.mark.parametrize("changed", ["parameters", "teacher", "images", "tasks", "cluster"])
def test_models_of_another_run_are_refused_wherever_they_were_trained(
    changed: str, inputs: dict[str, Any], source: Source
) -> None:
    config, weights, card, tasks = TRAIN_PROJECTOR, dict(source.weights), inputs["dataset_card"], inputs["tasks"]
    if changed == "parameters":
        schedule = config.optimisation.model_copy(update={"steps": 999})
        config = config.model_copy(update={"optimisation": schedule})
    elif changed == "teacher":
        weights["head.bias"] = weights["head.bias"] + 1
    elif changed == "images":
        card = replace(card, sha256="1" * 64)
    elif changed == "tasks":
        tasks = tasks[tasks["task_id"] != 1]
    else:
        config = config.model_copy(update={"ray": config.ray.model_copy(update={"address": "auto"})})
    models = [inputs[f"{method}_models"] for method in main_methods()]
    given = (inputs["teacher"], weights, source.statistics, inputs["projector"], card, tasks, config)
    restore = partial(restore_methods, *given, *models)
    if changed == "cluster":
        assert restore().keys() == set(main_methods())
    else:
        with pytest.raises(InputError, match=f"trained with .*{changed}.*; train them again"):
            restore()
