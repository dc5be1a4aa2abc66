"""The tensors of a folder, as its manifest's sizes say, are those that an operator has."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors import safe_open

from projpipe.objectives import Classification, ImageModeling, Objective
from projpipe.projection.conditioning import Conditioning
from projpipe.projection.operator import ProjectionOperator
from projpipe.projection.projector import Projector
from projpipe.projection.shapes import projector_shapes
from projpipe.projection.source import Source
from projpipe.projection.write import TENSORS
from projpipe.teacher.activations import activation_statistics
from projpipe.tensors import shapes_of, starting_with
from projpipe.transformer.canonical import canonical_weights
from projpipe.transformer.spec import TransformerSpec


def check(source: Source, conditioning: Conditioning, objective: Objective, folder: Path, **more: bool) -> None:
    student = source.spec.student(8, min(3, source.spec.depth), 2, 1.5)
    operator = ProjectionOperator(source, student, conditioning, 0, **more)
    Projector(operator, objective, {"classes": []}, {}).save(folder)
    with safe_open(folder / TENSORS, framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    free, mapped = (bool(more.get(name, default)) for name, default in (("free_weights", True), ("class_map", False)))
    assert projector_shapes(source.spec, student, conditioning, source.num_classes, free, mapped) == found


def test_of_a_source_that_normalises_its_tokens_first(every_term: Conditioning) -> None:
    sizes = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "embed_dim": 24, "num_heads": 3}
    model = timm.create_model("vit_tiny_patch16_224", **sizes, depth=3, pre_norm=True).eval()
    spec = TransformerSpec.of(model)
    statistics = activation_statistics(model, [lambda: model(torch.randn(4, 1, 8, 8))])
    source = Source(spec, canonical_weights(model), statistics)
    operator = ProjectionOperator(source, spec.student(8, 2, 2, 1.5), every_term, 0)
    expected = projector_shapes(spec, operator.spec, every_term, 10, True, False)
    own = starting_with("operator.", expected)
    assert own == shapes_of(operator.state_dict())
    assert starting_with("source.", expected) == shapes_of(source.weights)


EXPERTS = Conditioning(experts=3, film=False, task_embed_dim=8)


@pytest.mark.parametrize("free", [True, False])
def test_of_a_classifier(
    conditioning: Conditioning, source: Source, objective: Classification, free: bool, tmp_path: Path
) -> None:
    check(source, conditioning, objective, tmp_path / "projector", free_weights=free)


@pytest.mark.parametrize("terms", [Conditioning.none(), EXPERTS], ids=["static", "experts"])
def test_with_a_map_of_class_features(
    terms: Conditioning, source: Source, objective: Classification, tmp_path: Path
) -> None:
    check(source, terms, objective, tmp_path / "projector", class_map=True)


@pytest.mark.parametrize("mapped", [True, False])
def test_of_a_decoder(
    every_term: Conditioning, decoder_source: Source, modeling: ImageModeling, mapped: bool, tmp_path: Path
) -> None:
    check(decoder_source, every_term, modeling, tmp_path / "every", class_map=mapped)
    check(decoder_source, EXPERTS, modeling, tmp_path / "experts", class_map=mapped)
