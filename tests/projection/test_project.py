"""The formula, term by term."""

import torch
from torch import Tensor

from projpipe.projection.project import LINEAR_MAPS, READING, project
from projpipe.projection.source import Source, merged_weights
from projpipe.transformer.elastic import block_groups

BLOCKS, WIDTH, UNITS = 2, 5, 7


def factors_of(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """Random factors for a student of two blocks."""
    generator = torch.Generator().manual_seed(0)
    width = source["patch.weight"].shape[0]
    streams = {"embed_write": 1, "head_read": 1, **dict.fromkeys(LINEAR_MAPS.values(), BLOCKS)}
    factors = {name: torch.randn(blocks, WIDTH, width, generator=generator) for name, blocks in streams.items()}
    for name in LINEAR_MAPS:
        number = source[f"{name}.weight"].shape[1 if name in READING else 2]
        factors[f"{name}_units"] = torch.randn(BLOCKS, UNITS, number, generator=generator)
    return factors


def by_hand(source: dict[str, Tensor], factors: dict[str, Tensor], name: str, block: int) -> Tensor:
    """One linear map of one block."""
    stream, units = factors[LINEAR_MAPS[name]][block], factors[f"{name}_units"][block]
    weight = source[f"{name}.weight"][block]
    return units @ weight @ stream.T if name in READING else stream @ weight @ units.T


def test_every_linear_map_is_projected_from_both_sides(source: Source) -> None:
    merged = merged_weights(source.weights, block_groups(source.spec.depth, BLOCKS))
    factors = factors_of(merged)
    weights = project(merged, factors)
    for name in LINEAR_MAPS:
        for block in range(BLOCKS):
            expected, found = by_hand(merged, factors, name, block), weights[f"{name}.weight"][block]
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4, msg=name)


def test_tokens_and_biases_go_through_what_they_are_written_with(source: Source) -> None:
    merged = merged_weights(source.weights, block_groups(source.spec.depth, BLOCKS))
    factors = factors_of(merged)
    weights = project(merged, factors)
    embed = factors["embed_write"][0]
    for name in ("prefix", "pos"):
        torch.testing.assert_close(weights[name], torch.einsum("sd,pd->ps", embed, merged[name]))
    torch.testing.assert_close(weights["patch.bias"], torch.einsum("sd,d->s", embed, merged["patch.bias"]))
    for name in LINEAR_MAPS:
        written = factors[f"{name}_units" if name in READING else LINEAR_MAPS[name]]
        expected = torch.einsum("lsd,ld->ls", written, merged[f"{name}.bias"])
        torch.testing.assert_close(weights[f"{name}.bias"], expected, atol=1e-4, rtol=1e-4)


def test_every_class_is_projected(source: Source, decoder_source: Source) -> None:
    for of in (source, decoder_source):
        merged = merged_weights(of.weights, block_groups(of.spec.depth, BLOCKS))
        factors = factors_of(merged)
        weights = project(merged, factors)
        torch.testing.assert_close(weights["head.weight"], merged["head.weight"] @ factors["head_read"][0].T)
        assert torch.equal(weights["head.bias"], merged["head.bias"])
        if of is decoder_source:
            embeddings = merged["condition.weight"] @ factors["embed_write"][0].T
            torch.testing.assert_close(weights["condition.weight"], embeddings)


def test_the_formula_fits_a_screen() -> None:
    """What a reader has to see of the idea: `project` with its worked example."""
    import inspect

    assert len(inspect.getsource(project).splitlines()) <= 60
