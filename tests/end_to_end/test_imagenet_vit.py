"""The environment `imagenet_vit` from end to end, in miniature: generated photographs, a small teacher, one worker."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kedro.framework.session import KedroSession
from PIL import Image

from makers import train_in_process
from projpipe import load_projector
from projpipe.config import TrainProjectorConfig
from projpipe.experiments.outcome import task_mean
from projpipe.experiments.trial import Trial, run_trial
from projpipe.images.streamed import StreamedImages
from projpipe.training.gather import DATASETS, gather_run_inputs
from projpipe.training.run_inputs import RunInputs

CLASSES, IMAGES = 6, 12  # of each class
SMALLER: dict[str, Any] = {
    "split_tasks": {
        "source": {"image_size": 64},
        "split": {"validation": 0.2, "test": 0.2},
        "held_out_classes": {"count": 2},
        "tasks": [
            {
                "strategy": "random",
                "classes_per_task": [2, 3],
                "counts": {"train": 4, "validation": 1, "new_combination": 2, "new_class": 1},
            }
        ],
    },
    "extract_teacher": {
        "weights": "random",  # nothing is fetched
        "arguments": {"img_size": 64, "embed_dim": 48, "depth": 2, "num_heads": 3},
        "loading_workers": 1,
        "training": {"epochs": 1, "batch_size": 16},  # no head would be there otherwise
    },
    "train_projector": {
        "rate_search": {"steps": 2},
        "student": {"embed_dim": 16, "depth": 1, "num_heads": 2, "mlp_ratio": 2.0},
        "optimisation": {
            "steps": 4,
            "tasks_per_step": 4,
            "images_per_task": 6,
            "validate_every": 2,
            "checkpoint_every": 2,
        },
        "ray": {"address": None, "num_workers": 1, "use_gpu": None, "cpus_per_worker": 1, "loading_workers": 1},
    },
    "sweep_students": {"trials": 1},
    "evaluate": {"bootstrap_samples": 100, "train_tasks": 1, "example_tasks": 1, "latency": {"repeats": 5}},
}


def session(project: Path) -> KedroSession:
    split = SMALLER["split_tasks"]
    source = {**split["source"], "root": str(project / "data/01_raw/imagenet/train")}
    parameters = {**SMALLER, "split_tasks": {**split, "source": source}}
    return KedroSession.create(project, env="imagenet_vit", runtime_params=parameters)


@pytest.fixture(scope="module")
def project(make_project: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with photographs in which everything has run."""
    project = make_project(tmp_path_factory.mktemp("imagenet"))
    rng = np.random.default_rng(0)
    for class_id in range(CLASSES):
        folder = project / f"data/01_raw/imagenet/train/n{class_id:08}"
        folder.mkdir(parents=True)
        for number in range(IMAGES):
            coarse = rng.integers(0, 256, (4, 4, 3)) * 0.5 + 127 * rng.random(3)
            picture = Image.fromarray(coarse.astype(np.uint8)).resize((80, 64 + number))
            picture.save(folder / f"n{class_id:08}_{number}.JPEG")
    with session(project) as run:
        run.run()
    yield project
    import ray

    ray.shutdown()


@pytest.fixture(scope="module")
def inputs(project: Path) -> RunInputs:
    with session(project) as run:
        load = run.load_context().catalog.load
        return gather_run_inputs(*(load(name) for name in DATASETS), load("params:train_projector"))


def test_its_images_stay_in_their_files(project: Path, inputs: RunInputs) -> None:
    assert [path.name for path in (project / "data/imagenet_vit/03_primary/images").iterdir()] == ["images.json"]
    assert not list(project.rglob("*.npy"))
    assert isinstance(inputs.images, StreamedImages)
    assert inputs.images.shape == (CLASSES * IMAGES, 64, 64, 3)


def test_it_ends_with_a_report_and_a_projector(project: Path) -> None:
    data = project / "data/imagenet_vit"
    assert (data / "08_reporting/report.html").exists()
    metrics = json.loads((data / "08_reporting/metrics.json").read_text())
    assert metrics["results"].keys() >= {"teacher", "projected", "static", "universal"}
    student = load_projector(data / "06_models/projector").generate(classes=["n00000001", "n00000004"])
    assert student(torch.zeros(1, 3, 64, 64)).shape == (1, 2)


def test_it_is_trained_as_on_a_cluster_of_gpus(inputs: RunInputs) -> None:
    schedule = inputs.config.optimisation
    assert (schedule.precision, schedule.accumulate, inputs.config.ray.loading_workers) == ("bfloat16", 2, 1)


def test_streamed_and_packed_images_train_the_same_models(inputs: RunInputs, tmp_path: Path) -> None:
    packed = replace(inputs, images=inputs.images[:])
    streamed, expected = (
        train_in_process(given, tmp_path / name, "static")[-1].tensors
        for given, name in ((inputs, "streamed"), (packed, "packed"))
    )
    assert [len(list(tmp_path.rglob(name))) for name in ("images.npy", "images.json")] == [1, 0]
    assert streamed.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in streamed.items())


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
@pytest.mark.parametrize("method", ["projected", "universal", "distilled"])
def test_a_trial_of_a_comparison_is_trained_and_judged(
    method: str, device: str, inputs: RunInputs, tmp_path: Path
) -> None:
    config = TrainProjectorConfig(**inputs.config.model_dump() | {"seeds": (0,)})
    sampled = inputs.validation_tasks[:1]
    trial = Trial("table", method, method, config, 0.01, controls=method == "projected")
    folder = tmp_path / inputs.stage(tmp_path, "comparison", {})
    outcome = run_trial(
        folder, trial, [(task, "new_combination, random") for task in sampled], sampled, torch.device(device)
    )
    assert [row.step for row in outcome.history] == [0, 2, 4]
    assert all(np.isfinite(row.loss) for row in outcome.history[1:])
    assert all(0 <= task_mean(of_task) <= 1 for scores in outcome.scores.values() for of_task in scores)
