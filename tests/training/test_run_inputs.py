"""A run is named by all that decides what it makes, and its workers read what was staged."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import projpipe
from projpipe.errors import InputError
from projpipe.objectives import Classification
from projpipe.objectives.teacher_logits import TeacherLogits
from projpipe.projection.source import Source
from projpipe.training.run_inputs import IMAGES, RunInputs, deciding, load_staged, source_code_digest
from projpipe.transformer.spec import TransformerSpec


def nudged(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors with the last number of one of them changed a little."""
    changed = tensors[name].clone()
    changed.view(-1)[-1] += 1e-3
    return {**tensors, name: changed}


def with_logit(inputs: RunInputs) -> RunInputs:
    return replace(inputs, logits=TeacherLogits.from_tensors(nudged(inputs.logits.to_tensors(), "train_logits")))


def with_label(inputs: RunInputs) -> RunInputs:
    labels = inputs.labels.clone()
    labels[0] = 9
    return replace(inputs, labels=labels)


def with_weight(inputs: RunInputs) -> RunInputs:
    source = inputs.source
    return replace(inputs, source=Source(source.spec, nudged(source.weights, "fc1.bias"), source.statistics))


def with_statistic(inputs: RunInputs) -> RunInputs:
    source = inputs.source
    statistics = nudged(source.statistics, "hidden.mean")
    return replace(inputs, source=Source(source.spec, source.weights, statistics))


def with_shape(inputs: RunInputs) -> RunInputs:
    source, spec = inputs.source, inputs.source.spec
    other = TransformerSpec(**{**vars(spec), "num_heads": 1, "head_dim": 24})  # the same tensors, another model
    return replace(inputs, source=Source(other, source.weights, source.statistics))


INGREDIENTS: dict[str, Callable[[RunInputs], RunInputs]] = {
    "a logit": with_logit,
    "a label": with_label,
    "a weight": with_weight,
    "a statistic": with_statistic,
    "the source's shape": with_shape,
    "train tasks": lambda inputs: replace(inputs, train_tasks=[[0, 1], [2, 3, 4], [1, 5, 7]]),
    "weights of train tasks": lambda inputs: replace(inputs, train_weights=[1.0, 2.0, 1.0]),
    "validation tasks": lambda inputs: replace(inputs, validation_tasks=[[0, 5]]),
    "mean": lambda inputs: replace(inputs, objective=replace(inputs.objective, mean=[0.31])),
    "std": lambda inputs: replace(inputs, objective=replace(inputs.objective, std=[0.36])),
    "images": lambda inputs: replace(inputs, images_sha256="others"),
}
PARAMETERS: list[dict[str, Any]] = [
    {"seeds": [0, 2]},
    {"seeds": [1, 0]},
    {"student": {"mlp_ratio": 1.0}},
    {"conditioning": {"film": False}},
    {"optimisation": {"steps": 13}},
    {"optimisation": {"checkpoint_every": 5}},
    {"optimisation": {"accumulate": 2}},
    {"optimisation": {"precision": "bfloat16"}},
    {"start": "uniform"},
    {"source": "tuned"},
    {"ray": {"num_workers": 2}},
    {"ray": {"use_gpu": True}},
]
WHERE_IT_RUNS: list[dict[str, Any]] = [
    {"address": "auto"},
    {"max_failures": 3},
    {"cpus_per_worker": 2},
    {"loading_workers": 2},
]


@pytest.mark.parametrize("change", INGREDIENTS.values(), ids=INGREDIENTS.keys())
def test_a_changed_ingredient_changes_the_name(
    change: Callable[[RunInputs], RunInputs], run_inputs: RunInputs, tmp_path: Path
) -> None:
    assert change(run_inputs).stage(tmp_path, "static", {}) != run_inputs.stage(tmp_path, "static", {})


@pytest.mark.parametrize("changes", PARAMETERS, ids=str)
def test_a_changed_parameter_decides_another_result(changes: dict[str, Any], settings: Any) -> None:
    assert deciding(settings(**changes), 0.002) != deciding(settings(), 0.002)


def test_a_changed_learning_rate_decides_another_result_and_that_of_another_method_does_not(settings: Any) -> None:
    assert deciding(settings(), 0.003) != deciding(settings(), 0.002)
    assert deciding(settings(learning_rates={"static": 0.003}), 0.002) == deciding(settings(), 0.002)


@pytest.mark.parametrize("ray", WHERE_IT_RUNS, ids=str)
def test_where_training_runs_decides_nothing(ray: dict[str, Any], settings: Any) -> None:
    assert deciding(settings(ray=ray), 0.002) == deciding(settings(), 0.002)


def test_the_name_starts_with_the_kind_of_run_and_depends_on_what_else_decides_it(
    run_inputs: RunInputs, tmp_path: Path
) -> None:
    names = [
        run_inputs.stage(tmp_path, *what)
        for what in (("static", {}), ("sweep", {}), ("sweep", {"sampler": "tpe"}), ("sweep", {}))
    ]
    assert [name.rpartition("-")[0] for name in names] == ["static", "sweep", "sweep", "sweep"]
    assert names[1] == names[3] != names[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(set(names))


def test_the_order_of_tensors_does_not_change_the_name(run_inputs: RunInputs, tmp_path: Path) -> None:
    source = run_inputs.source
    weights = dict(reversed(source.weights.items()))
    backwards = replace(run_inputs, source=Source(source.spec, weights, source.statistics))
    assert backwards.stage(tmp_path, "static", {}) == run_inputs.stage(tmp_path, "static", {})


def test_what_was_staged_comes_back(run_inputs: RunInputs, tmp_path: Path) -> None:
    run_inputs = replace(run_inputs, train_weights=[1.0, 2.0, 1.0])
    data, source = load_staged(tmp_path / run_inputs.stage(tmp_path, "static", {}))
    assert data.train_weights == [1.0, 2.0, 1.0]
    assert source.spec == run_inputs.source.spec
    for found, given in (
        (source.weights, run_inputs.source.weights),
        (source.statistics, run_inputs.source.statistics),
    ):
        assert found.keys() == given.keys()
        assert all(torch.equal(tensor, given[name]) for name, tensor in found.items())
    assert (data.train_tasks, data.validation_tasks) == (run_inputs.train_tasks, run_inputs.validation_tasks)
    for split, found in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        ids = run_inputs.logits.image_ids[split]
        assert np.array_equal(found.images[found.image_ids], run_inputs.images[ids.numpy()])
        assert torch.equal(found.labels, run_inputs.labels[ids])
        assert found.objective == run_inputs.objective
    assert torch.equal(data.train.logits, run_inputs.logits.train_logits)
    assert torch.equal(data.train.affine, run_inputs.logits.train_affine)
    for not_taught in (data.validation, data.test):
        assert (not_taught.logits, not_taught.affine) == (None, None)


def test_the_only_view_of_an_image_is_the_image_itself(
    run_inputs: RunInputs, tmp_path: Path, objective: Classification
) -> None:
    inputs = replace(run_inputs, logits=replace(run_inputs.logits, train_affine=None))
    train = load_staged(tmp_path / inputs.stage(tmp_path, "static", {}))[0].train
    rows = torch.tensor([4, 0])
    assert torch.equal(train.read(rows, torch.zeros_like(rows)), objective.encode(inputs.images[[4, 0]]))


def test_images_that_lie_in_a_file_are_read_from_there_and_not_copied(run_inputs: RunInputs, tmp_path: Path) -> None:
    np.save(tmp_path / "packed.npy", run_inputs.images)
    inputs = replace(run_inputs, images=np.load(tmp_path / "packed.npy", mmap_mode="r"))
    folder = tmp_path / inputs.stage(tmp_path, "static", {})
    assert not (folder / IMAGES).exists()
    found = load_staged(folder)[0].train.images
    assert Path(found.filename) == tmp_path / "packed.npy"
    assert np.array_equal(found, run_inputs.images)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's code, which the digest is taken of."""
    copy = tmp_path / "projpipe"
    shutil.copytree(Path(projpipe.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source_code_digest()  # of the package itself
    monkeypatch.setattr(projpipe, "__file__", str(copy / "__init__.py"))
    yield copy
    source_code_digest.cache_clear()


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


@pytest.mark.parametrize(
    ("judges", "path", "changes"),
    [
        ((), "reporting/table.py", False),
        ((), "evaluation/scores.py", False),
        ((), "training/trainer.py", True),
        ((), "projection/experts.py", True),
        ((), "metric.py", True),
        ((), "tensors.py", True),
        (("evaluation",), "evaluation/scores.py", True),
        (("evaluation",), "students/stopwatch.py", False),
    ],
)
def test_code_that_trains_is_part_of_the_name_and_code_that_reports_is_not(
    package: Path, judges: tuple[str, ...], path: str, changes: bool
) -> None:
    def digest_of_next_run() -> str:
        source_code_digest.cache_clear()
        return source_code_digest(*judges)

    before = source_code_digest(*judges)
    assert digest_of_next_run() == before
    edit(package / path)
    assert (digest_of_next_run() != before) == changes


def test_code_that_is_edited_while_a_run_goes_on_does_not_rename_it(package: Path) -> None:
    before = source_code_digest()
    edit(package / "training/trainer.py")
    assert source_code_digest() == before


def test_a_worker_with_other_code_is_refused(run_inputs: RunInputs, package: Path, tmp_path: Path) -> None:
    folder = tmp_path / run_inputs.stage(tmp_path, "static", {})
    load_staged(folder)
    edit(package / "training/trainer.py")
    source_code_digest.cache_clear()  # as in a worker that starts now
    with pytest.raises(InputError, match="not that of the process that started this run; leave it as it is"):
        load_staged(folder)
