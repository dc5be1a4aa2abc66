"""A compact folder makes the students of its projector but for rounding, and takes half the bytes or fewer."""

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

from makers import CLASSIFIER, CONDITIONINGS, elastic, make_projector
from projpipe import load_projector
from projpipe.errors import InputError
from projpipe.manifest import CARD, MANIFEST, SIZES, manifest_bytes
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.projector import Projector
from projpipe.projection.shapes import projector_shapes
from projpipe.projection.source import Source
from projpipe.projection.write import KIND, TENSORS
from projpipe.transformer.sizes import Sizes

CONF = Path(__file__).parents[2] / "conf"
TASK = ["two", "nine", "four"]


@pytest.mark.parametrize("conditioning", CONDITIONINGS.values(), ids=CONDITIONINGS.keys())
def test_the_students_of_a_compact_folder_differ_by_no_more_than_its_rounding(
    conditioning: Conditioning, source: Source, images: torch.Tensor, tmp_path: Path
) -> None:
    projector = elastic(make_projector(source, conditioning, class_map=conditioning.film))
    projector.save(tmp_path / "whole")
    projector.save(tmp_path / "compact", compact=True)
    loaded = load_projector(tmp_path / "compact")
    assert (loaded.data, loaded.provenance) == (projector.data, projector.provenance)
    for size in (projector.operator.spec, projector.sizes.smallest):
        expected, found = (one.student(TASK, size=size).logits(images) for one in (projector, loaded))
        torch.testing.assert_close(found, expected, atol=0.01 * expected.std().item(), rtol=0)
        assert not torch.equal(found, expected)
    whole, compact = ((tmp_path / name / TENSORS).stat().st_size for name in ("whole", "compact"))
    assert compact < 0.52 * whole  # headers take as much as before
    with safe_open(tmp_path / "compact" / TENSORS, framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118 - no mapping


def test_factors_are_left_out_where_projected_weights_stand_for_them(projector: Projector, tmp_path: Path) -> None:
    projector.save(tmp_path / "compact", compact=True)
    assert len(projector.operator.factors) == 12
    assert not load_projector(tmp_path / "compact").operator.factors


def test_a_projector_out_of_a_compact_folder_is_saved_as_it_is_there(projector: Projector, tmp_path: Path) -> None:
    elastic(projector).save(tmp_path / "compact", compact=True)
    load_projector(tmp_path / "compact").save(tmp_path / "again")
    for name in (MANIFEST, TENSORS, SIZES):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "compact" / name).read_bytes()


def test_the_source_of_a_compact_folder_still_sees_what_pictures_show(projector: Projector, tmp_path: Path) -> None:
    projector.save(tmp_path / "compact", compact=True)
    pictures = torch.randint(0, 256, (64, 8, 8, 1), generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy()
    assert load_projector(tmp_path / "compact").recognise(pictures) == projector.recognise(pictures)


def test_the_manifest_vouches_for_the_card(projector: Projector, tmp_path: Path) -> None:
    projector.save(tmp_path / "compact", compact=True, card="# a card\n")
    load_projector(tmp_path / "compact")
    (tmp_path / "compact" / CARD).write_text("# another\n")
    with pytest.raises(InputError, match=r"README.md is truncated or was changed"):
        load_projector(tmp_path / "compact")


@pytest.mark.parametrize("compact", [True, False])
def test_weights_of_another_type_than_the_manifest_says_are_refused(
    compact: bool, projector: Projector, tmp_path: Path
) -> None:
    static = make_projector(projector.operator.source, CONDITIONINGS["projected"])
    static.save(tmp_path / "folder", compact=compact)
    described = json.loads((tmp_path / "folder" / MANIFEST).read_text())
    described = {key: value for key, value in described.items() if key not in ("format", "kind", "sha256", "compact")}
    content = (tmp_path / "folder" / TENSORS).read_bytes()
    manifest = manifest_bytes(KIND, {**described, "compact": not compact}, {TENSORS: content})
    (tmp_path / "folder" / MANIFEST).write_bytes(manifest)
    with pytest.raises(InputError, match=r"does not describe projector.safetensors: (it lacks|the model has no place)"):
        load_projector(tmp_path / "folder")


def test_a_weight_that_float16_does_not_hold_is_refused_and_nothing_is_written(
    projector: Projector, tmp_path: Path
) -> None:
    source = projector.operator.source
    large = replace(source, weights={**source.weights, "pos": source.weights["pos"] * 1e7})
    with pytest.raises(InputError, match=r"source.pos holds a number that is infinite or none"):
        make_projector(large).save(tmp_path / "compact", compact=True)
    assert not list(tmp_path.iterdir())


def test_the_projector_that_ships_takes_less_than_ten_megabytes() -> None:
    base, stated = (yaml.safe_load((CONF / name / "parameters.yml").read_text()) for name in ("base", "cifar100_all"))
    teacher, own = stated["extract_teacher"]["arguments"], stated["train_projector"]
    width, heads = teacher["embed_dim"], teacher["num_heads"]
    shape = {"embed_dim": width, "num_heads": heads, "head_dim": width // heads, "mlp_dim": 4 * width}
    source = replace(CLASSIFIER, image_size=(32, 32), patch_size=teacher["patch_size"], depth=teacher["depth"], **shape)
    student, smallest = (source.student(*own[name].values()) for name in ("student", "smallest"))
    conditioning = Conditioning(**base["train_projector"]["conditioning"])
    shapes = projector_shapes(source, student, conditioning, 100, True, True, Sizes(smallest, student), compact=True)
    assert 7e6 < 2 * sum(map(prod, shapes.values())) < 9.9e6
