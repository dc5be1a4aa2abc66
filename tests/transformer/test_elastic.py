"""Smaller models are cut out of a larger one's weights: exactly where the larger one has no more to say."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from makers import CLASSIFIER
from projpipe.errors import InputError
from projpipe.projection.initialisation import zero_sum_basis
from projpipe.transformer.canonical import Weights
from projpipe.transformer.elastic import block_groups, cut
from projpipe.transformer.forward import forward_students
from projpipe.transformer.sizes import Sizes
from projpipe.transformer.spec import TransformerSpec

SMALL = replace(CLASSIFIER, norm_eps=1e-12).resized(8, 2, 2, 12)
LARGE = SMALL.resized(12, 2, 3, 20)
PRE_NORM = replace(SMALL, pre_norm=True)
DECODER = replace(SMALL, image_size=(2, 3), patch_size=1, in_chans=4, class_token=False, pool="", symbols=3)
WRITTEN = ("patch.weight", "patch.bias", "prefix", "pos", "out.weight", "out.bias", "fc2.weight", "fc2.bias")


def draw(spec: TransformerSpec) -> Weights:
    generator = torch.Generator().manual_seed(0)
    shapes = spec.weight_shapes(4).items()
    return {name: torch.randn(2, *shape, generator=generator) * 0.4 for name, shape in shapes}


def images(spec: TransformerSpec) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.symbols:
        return torch.randint(spec.symbols, (2, 5, 1, *spec.image_size), generator=generator)
    return torch.randn(2, 5, spec.in_chans, *spec.image_size, generator=generator)


def widened(weights: Weights, small: TransformerSpec, large: TransformerSpec) -> Weights:
    """A larger model that says the same: its residual stream has more axes, heads and units, which nothing uses."""
    less = small.embed_dim - 1
    up = zero_sum_basis(large.embed_dim)[:, :less] @ zero_sum_basis(small.embed_dim).mT  # [D, w]
    reading = (small.embed_dim / large.embed_dim) ** 0.5
    found = {}
    for name, tensor in weights.items():
        if name.startswith(("q", "k", "v", "fc1", "head")) and name.endswith("weight"):
            tensor = tensor @ up.mT * reading
        elif name in WRITTEN:
            along = -1 if name in ("prefix", "pos") or name.endswith("bias") else -2
            tensor = (tensor.movedim(along, -1) @ up.mT).movedim(-1, along)
        shape = (len(tensor), *large.weight_shapes(4)[name])
        whole = torch.zeros(shape)
        whole[tuple(slice(length) for length in tensor.shape)] = tensor
        found[name] = whole
    return found


@pytest.mark.parametrize("spec", [SMALL, DECODER], ids=["classifier", "decoder"])
def test_a_narrower_model_says_what_the_larger_one_says_whose_further_axes_heads_and_units_are_empty(
    spec: TransformerSpec,
) -> None:
    large = spec.resized(12, 2, 3, 20)  # heads as wide as the small model's
    weights = draw(spec)
    whole = widened(weights, spec, large)
    expected = forward_students(spec, weights, images(spec))
    torch.testing.assert_close(forward_students(large, whole, images(spec)), expected, atol=1e-4, rtol=1e-4)
    found = forward_students(spec, cut(whole, large, spec), images(spec))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_narrower_heads_keep_the_size_of_what_they_compare() -> None:
    """Queries and keys whose further dimensions are empty have the same dot products over the same divisor."""
    large = SMALL.resized(8, 2, 2, 12)
    narrow = replace(large, head_dim=2)
    weights = draw(large)
    for name in ("q", "k", "v"):
        weights[f"{name}.weight"] = weights[f"{name}.weight"].unflatten(2, (2, 4)).clone()
        weights[f"{name}.weight"][:, :, :, 2:] = 0
        weights[f"{name}.weight"] = weights[f"{name}.weight"].flatten(2, 3)
        weights[f"{name}.bias"] = weights[f"{name}.bias"].unflatten(2, (2, 4)).clone()
        weights[f"{name}.bias"][..., 2:] = 0
        weights[f"{name}.bias"] = weights[f"{name}.bias"].flatten(2, 3)
    found = forward_students(narrow, cut(weights, large, narrow), images(large))
    torch.testing.assert_close(found, forward_students(large, weights, images(large)), atol=1e-5, rtol=1e-5)


def test_a_shallower_model_has_the_first_units_of_neighbouring_blocks_in_turn() -> None:
    large, small = SMALL.resized(8, 3, 2, 6), SMALL.resized(8, 2, 2, 5)
    weights = draw(large)
    for layer in range(3):
        for unit in range(6):
            weights["fc1.bias"][:, layer, unit] = 10 * layer + unit
        for unit in range(8):
            weights["v.bias"][:, layer, unit] = 10 * layer + unit
    assert block_groups(3, 2) == [range(2), range(2, 3)]
    found = cut(weights, large, small)
    assert found["fc1.bias"][0].tolist() == [[0, 10, 1, 11, 2], [20, 21, 22, 23, 24]]
    assert found["v.bias"][0].tolist() == [[0, 1, 2, 3, 10, 11, 12, 13], [20, 21, 22, 23, 24, 25, 26, 27]]
    torch.testing.assert_close(found["fc2.bias"][:, 0], weights["fc2.bias"][:, :2].sum(1))
    assert torch.equal(found["out.weight"][:, 0, :, 4:], weights["out.weight"][:, 1, :, :4])


def test_two_blocks_side_by_side_write_what_both_write_of_one_stream() -> None:
    """With all of their units, and each reading the tokens: where the first writes nothing, that is what two do."""
    large = SMALL.resized(8, 2, 2, 6)
    weights = draw(large)
    for name in ("out", "fc2"):
        weights[f"{name}.weight"][:, 0], weights[f"{name}.bias"][:, 0] = 0, 0
    shallow = replace(large, depth=1, num_heads=4, mlp_dim=12)
    found = forward_students(shallow, cut(weights, large, shallow), images(large))
    torch.testing.assert_close(found, forward_students(large, weights, images(large)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", [SMALL, PRE_NORM, DECODER], ids=["classifier", "pre_norm", "decoder"])
def test_every_size_has_the_weights_of_its_shape_and_the_largest_those_that_there_are(spec: TransformerSpec) -> None:
    large = spec.resized(16, 3, 4, 24)
    weights = draw(large)
    sizes = Sizes(spec.resized(4, 1, 1, 4), large)
    assert cut(weights, large, large) is weights
    assert len(sizes.every) == len(set(sizes.every)) > 40
    for size in sizes.every:
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in cut(weights, large, size).items()}
        assert shapes == size.weight_shapes(4), size
    assert all(forward_students(size, cut(weights, large, size), images(size)).isfinite().all() for size in sizes.every)


def test_a_step_has_the_largest_and_two_that_a_seed_decides_the_smallest_often_among_them() -> None:
    sizes = Sizes(SMALL.resized(4, 1, 1, 4), LARGE)
    drawn = [sizes.sandwich((0, step)) for step in range(400)]
    assert {largest for largest, _, _ in drawn} == {LARGE}
    assert 80 < sum(first == sizes.smallest for _, first, _ in drawn) < 140
    between = [size for _, _, size in drawn]
    assert set(between) == set(sizes.every) - {LARGE}
    assert sum(size.mlp_dim == int(size.embed_dim * LARGE.mlp_ratio) for size in between) > 200
    assert {depth: sum(size.depth == depth for size in between) > 160 for depth in (1, 2)} == {1: True, 2: True}
    assert sizes.sandwich((0, 7)) == sizes.sandwich((0, 7))


def test_the_nearest_size_differs_no_more_than_it_must() -> None:
    sizes = Sizes(SMALL, LARGE)
    for asked in (LARGE, SMALL, *sizes.every[::5]):
        assert sizes.nearest(asked) == asked
    beyond = LARGE.resized(LARGE.embed_dim, LARGE.depth + 3, LARGE.num_heads, LARGE.mlp_dim - 1)
    assert sizes.nearest(beyond) == replace(LARGE, mlp_dim=LARGE.mlp_dim - 1)
    lacking = LARGE.resized(LARGE.embed_dim, LARGE.depth, LARGE.num_heads, SMALL.mlp_dim - 1)
    assert sizes.nearest(lacking) == replace(LARGE, mlp_dim=SMALL.mlp_dim)


def test_what_is_not_between_the_two_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match=r"^smallest: depth 3 is above the 2 of the largest; make it smaller$"):
        Sizes(SMALL.resized(8, 3, 2, 12), LARGE)
    sizes = Sizes(SMALL, LARGE)
    with pytest.raises(InputError, match=r"^size: embed_dim 4 is below the 8 of the smallest; there are sizes from 8x"):
        sizes.check(SMALL.resized(4, 2, 2, 12), "size")
    with pytest.raises(InputError, match=r"^size: head_dim 6 is above the 4 of the largest"):
        sizes.check(SMALL.resized(12, 2, 2, 12), "size")


def test_a_finer_grid_has_as_many_sizes_as_are_asked_for_as_far_as_there_are() -> None:
    sizes = Sizes(SMALL, LARGE)
    assert sizes.at_least(1) == sizes.at_least(len(sizes.every)) == sizes.every
    more = sizes.at_least(len(sizes.every) + 1)
    assert set(more) > set(sizes.every)
    assert len(more) == len(set(more))
    assert all(size in sizes for size in more)
    assert {size.mlp_dim for size in sizes.at_least(10**6)} == {12, 13, 18, 19, 20}  # 1.5 to 1.67 of 8 and of 12
