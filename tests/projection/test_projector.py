"""A projector of many sizes: which it makes, and what its folder says of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from makers import elastic
from projpipe import load_projector
from projpipe.errors import InputError
from projpipe.manifest import MANIFEST, SIZES
from projpipe.projection.projector import Projector
from projpipe.projection.size_choice import SizeChoice
from projpipe.students.elapsed import Elapsed
from projpipe.students.limits import Limits, fast_enough
from projpipe.students.size_table import REMAKE
from projpipe.transformer.spec import TransformerSpec, written

CLASSES = ["two", "nine", "four"]


@pytest.fixture
def many(projector: Projector) -> Projector:
    return elastic(projector)


def test_it_is_read_back_with_its_sizes_and_its_table(many: Projector, images: torch.Tensor, tmp_path: Path) -> None:
    many.save(tmp_path)
    loaded = load_projector(tmp_path)
    assert loaded.sizes == many.sizes
    sha256 = json.loads((tmp_path / MANIFEST).read_text())["sha256"]["projector.safetensors"]
    assert loaded.size_table == replace(many.size_table, weights_sha256=sha256)
    for size in (None, "8x1", "12x2x2x18", "10x2"):
        found, expected = (which.generate(CLASSES, size=size) for which in (loaded, many))
        assert torch.equal(found(images), expected(images))
    loaded.save(tmp_path / "again")
    assert load_projector(tmp_path / "again").size_table.sizes == many.size_table.sizes


def test_a_folder_without_a_table_or_of_one_size_is_read_too(
    projector: Projector, folder: Path, tmp_path: Path
) -> None:
    one = load_projector(folder)
    assert (one.sizes, one.size_table) == (None, None)
    assert "smallest" not in json.loads((folder / MANIFEST).read_text())
    assert one.recommended == projector.operator.spec
    elastic(projector, measured=False).save(tmp_path / "many")
    many = load_projector(tmp_path / "many")
    assert (many.sizes, many.size_table) == (elastic(projector).sizes, None)
    assert many.recommended == projector.operator.spec


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights_sha256": "1" * 64}, "is of another projector, or of this one before it was trained anew"),
        ({"metric": "bits_per_pixel"}, "metric: bits_per_pixel is not accuracy"),
        ({"num_classes": 11}, "num_classes: 11 are more than this projector's 10"),
        ({"depth": 3}, "sizes: 8x3x2x8 is none of this projector's"),
        ({"num_heads": 3}, "sizes: 8x1x3x8 is none of this projector's"),
    ],
)
def test_a_table_of_another_projector_is_refused(
    changed: dict[str, Any], said: str, many: Projector, tmp_path: Path
) -> None:
    many.save(tmp_path)
    described = json.loads((tmp_path / SIZES).read_text())
    described["sizes"][0].update({key: value for key, value in changed.items() if key in described["sizes"][0]})
    described.update({key: value for key, value in changed.items() if key in described})
    (tmp_path / SIZES).write_text(json.dumps(described))
    with pytest.raises(InputError) as refused:
        load_projector(tmp_path)
    assert str(refused.value) == f"{tmp_path / SIZES}: {said}; {REMAKE}"
    (tmp_path / SIZES).unlink()
    assert load_projector(tmp_path).size_table is None


def test_a_table_of_a_projector_of_one_size_is_of_that_size(projector: Projector, tmp_path: Path) -> None:
    table = elastic(projector).size_table
    replace(projector, size_table=replace(table, sizes=table.sizes[2:], recommended=0)).save(tmp_path / "own")
    assert len(load_projector(tmp_path / "own").size_table.sizes) == 1
    replace(projector, size_table=table).save(tmp_path / "other")
    with pytest.raises(InputError, match="is none of this projector's"):
        load_projector(tmp_path / "other")


def test_what_it_makes_is_cut_out_of_the_largest(many: Projector, images: torch.Tensor) -> None:
    ids = torch.tensor([[2, 9, 4]])
    small = many.sizes.smallest
    with torch.no_grad():
        weights = many.of_sizes(many.operator(ids, torch.ones_like(ids, dtype=torch.bool)), small)
    expected = {name: tensor[0] for name, tensor in weights.items()}
    student = many.student(CLASSES, size=small)
    assert student.spec == small
    assert all(torch.equal(student.weights[name], tensor) for name, tensor in expected.items())
    torch.testing.assert_close(student.to_timm()(images), student.logits(images), atol=1e-5, rtol=0)


def test_the_recommended_size_is_made_where_none_is_asked_for(many: Projector) -> None:
    assert many.student(CLASSES).spec == many.recommended != many.operator.spec
    model = many.generate(CLASSES)
    assert (model.embed_dim, len(model.blocks)) == (12, 1)


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({"size": "12x2"}, (12, 2, 2, 18)),
        ({"size": "8x1"}, (8, 1, 2, 12)),
        ({"size": "8x2x2x9"}, (8, 2, 2, 9)),
        ({"max_parameters": "1G"}, (12, 1, 2, 12)),
        ({"max_parameters": 1000}, (8, 1, 2, 8)),
        ({"max_macs": "1G", "max_latency": "1s", "batch": 2}, (12, 1, 2, 12)),
    ],
)
def test_a_size_is_asked_for_by_its_name_or_by_limits(
    asked: dict[str, Any], made: tuple[int, ...], many: Projector
) -> None:
    model = many.generate(CLASSES, **asked)
    block = model.blocks[0]
    assert (model.embed_dim, len(model.blocks), block.attn.num_heads, block.mlp.fc1.out_features) == made


def test_without_a_table_the_largest_within_limits_is_made(projector: Projector) -> None:
    many = elastic(projector, measured=False)
    every = many.sizes.every
    for asked in every[:: max(1, len(every) // 7)]:
        limit = asked.deployed_params(3)
        size, latency = many.size_within(Limits(max_parameters=limit), CLASSES)
        assert (size.deployed_params(3), latency) == (limit, None)
    assert many.size_within(Limits(max_latency_ms=1e6), CLASSES)[0] == projector.operator.spec


def test_the_smallest_size_is_tried_last_where_the_table_lacks_it_and_latency_is_limited(many: Projector) -> None:
    measured = many.size_table.sizes
    assert written(measured[0]) == written(many.sizes.smallest)
    lacking = replace(many.size_table, sizes=measured[1:], recommended=0)
    choice = SizeChoice(many.operator.spec, many.sizes, lacking)
    tried: list[str] = []

    def latency(size: TransformerSpec) -> Elapsed:
        tried.append(written(size))
        took = 1.0 if size == many.sizes.smallest else 2.0
        return Elapsed(median_ms=took, undisturbed_ms=took)

    limits = Limits(max_latency_ms=1.5)
    size, _ = fast_enough(choice.within(limits, 3), limits, latency)
    assert size == many.sizes.smallest
    assert tried == [*tried[:-2], written(size), written(size)]
    assert written(size) not in tried[:-2]


ALL = "those from 8x1x2x8 to 12x2x2x18"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": "16x2"}, f"size: embed_dim 16 is above the 12 of the largest; the nearest of {ALL} is 12x2x2x18"),
        ({"size": "12x3"}, f"size: depth 3 is above the 2 of the largest; the nearest of {ALL} is 12x2x2x18"),
        ({"size": "4x1"}, f"size: embed_dim 4 is below the 8 of the smallest; the nearest of {ALL} is 8x1x2x8"),
        ({"size": "12x1x2x7"}, f"size: mlp_dim 7 is below the 8 of the smallest; the nearest of {ALL} is 12x1x2x8"),
        ({"size": "12x2x5"}, f"size: width 12 is not divisible by 5 heads; the nearest of {ALL} is 12x2x2x18"),
        ({"size": "9x1"}, f"size: width 9 is not divisible by 2 heads; the nearest of {ALL} is 10x1x2x13"),
        ({"max_parameters": 5}, "max-parameters: no size has 5 or fewer; the least is 683, of 8x1x2x8"),
        ({"max_latency": "1us"}, "max-latency: none of 3 sizes takes 0.001 ms or less here"),
    ],
)
def test_a_size_that_there_is_not_is_refused_with_what_there_is(
    asked: dict[str, Any], said: str, many: Projector
) -> None:
    with pytest.raises(InputError) as refused:
        many.generate(CLASSES, **asked)
    assert said in str(refused.value)


def test_a_student_of_a_size_that_there_is_not_is_refused(many: Projector, projector: Projector) -> None:
    largest = projector.operator.spec
    with pytest.raises(InputError, match="size: embed_dim 16 is above the 12 of the largest"):
        many.student(CLASSES, size=largest.resized(16, 2, 2, 18))
    with pytest.raises(InputError, match="makes one size, 12x2x\\S+; train one of many .*`train_projector.sm"):
        projector.student(CLASSES, size=many.sizes.smallest)
    assert projector.student(CLASSES, size=largest).spec == largest


def test_a_model_has_the_score_of_its_size_and_no_other(many: Projector) -> None:
    scored = replace(many, provenance={"seed": 0, "validation_score": 0.5})  # of the largest and the smallest together
    assert scored.student(CLASSES).provenance["validation_score"] == 0.9
    small, unmeasured = many.sizes.smallest, many.sizes.smallest.resized(8, 2, 2, 8)
    assert scored.student(CLASSES, size=small).provenance["validation_score"] == 0.7
    assert "validation_score" not in scored.student(CLASSES, size=unmeasured).provenance
    one = replace(scored, of_sizes=None, size_table=None)
    assert one.student(CLASSES).provenance["validation_score"] == 0.5


def test_a_model_has_the_energy_threshold_of_its_size_or_of_the_nearest(many: Projector) -> None:
    sizes = [
        replace(size, energy_threshold=score) for size, score in zip(many.size_table.sizes, (1, 2, 3), strict=True)
    ]
    told = replace(many, size_table=replace(many.size_table, sizes=tuple(sizes)))
    assert told.student(CLASSES).energy_threshold == 2
    assert told.student(CLASSES, size=many.sizes.largest).energy_threshold == 3
    assert told.student(CLASSES, size=many.sizes.smallest.resized(8, 1, 2, 10)).energy_threshold == 1
    assert many.student(CLASSES).energy_threshold is None


def test_a_model_has_the_other_row_of_its_width(many: Projector) -> None:
    sizes = [
        replace(size, energy_threshold=float(number), other_row=tuple(map(float, range(size.embed_dim))))
        for number, size in enumerate(many.size_table.sizes)
    ]
    told = replace(many, size_table=replace(many.size_table, sizes=tuple(sizes)))
    smallest = many.sizes.smallest
    found = told.student(CLASSES, size=smallest.resized(8, 1, 2, 10))
    assert (found.energy_threshold, found.other_row) == (0, sizes[0].other_row)
    wide = replace(told, size_table=replace(many.size_table, sizes=tuple(sizes[1:])))
    found = wide.student(CLASSES, size=smallest)
    assert (found.energy_threshold, found.other_row) == (None, ())


def test_latency_is_measured_with_the_images_and_threads_that_are_asked_for(
    many: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def time_of(run: Any, threads: int) -> Elapsed:
        seen.append((len(run()), threads))
        return Elapsed(median_ms=0.5, undisturbed_ms=0.4)

    monkeypatch.setattr("projpipe.projection.projector.time_of", time_of)
    limits = Limits(max_latency_ms=1, batch=5, threads=3)
    assert many.size_within(limits, CLASSES) == (many.recommended, Elapsed(median_ms=0.5, undisturbed_ms=0.4))
    assert many.latency_ms(CLASSES, many.recommended) == 0.5
    assert seen == [(5, 3), (5, 3), (1, 1)]
