import pytest
import torch
from torch import Tensor

from projpipe.errors import InputError
from projpipe.transformer.canonical import Weights
from projpipe.transformer.forward import forward_students
from projpipe.transformer.sampling import CachedDecoder, sample
from projpipe.transformer.spec import TransformerSpec

Decoder = tuple[TransformerSpec, Weights]


def said_at_once(decoder: Decoder, images: Tensor) -> Tensor:
    spec, weights = decoder
    return forward_students(spec, {name: tensor[None] for name, tensor in weights.items()}, images[None])[0]


def test_reading_symbol_by_symbol_says_what_reading_all_at_once_does(decoder: Decoder, all_images: Tensor) -> None:
    cached = CachedDecoder(*decoder, count=81)
    before = torch.cat([torch.full((81, 1), decoder[0].symbols), all_images.flatten(1)], 1)
    steps = torch.stack([cached.step(before[:, position], position) for position in range(4)], 1)
    assert torch.allclose(steps, said_at_once(decoder, all_images), atol=1e-5)


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (1.0, 2)])
def test_images_are_those_that_would_be_drawn_without_a_cache(
    decoder: Decoder,
    temperature: float,
    top_k: int | None,
) -> None:
    spec, _ = decoder
    generator = torch.Generator().manual_seed(3)
    images = torch.zeros(50, 1, 2, 2, dtype=torch.long)
    for position in range(4):
        logits = said_at_once(decoder, images)[:, position] / temperature
        if top_k:
            logits[logits < logits.topk(top_k).values[:, -1:]] = -torch.inf
        noise = -torch.empty(50, spec.symbols).exponential_(generator=generator).log()
        images.view(50, 4)[:, position] = (logits + noise).argmax(-1)
    assert torch.equal(sample(*decoder, 50, seed=3, temperature=temperature, top_k=top_k), images)


def test_a_seed_fixes_what_is_drawn(decoder: Decoder) -> None:
    assert torch.equal(sample(*decoder, 20, seed=1), sample(*decoder, 20, seed=1))
    assert not torch.equal(sample(*decoder, 20, seed=1), sample(*decoder, 20, seed=2))


def test_images_are_drawn_as_often_as_they_are_likely(decoder: Decoder, all_images: Tensor) -> None:
    logits = said_at_once(decoder, all_images).log_softmax(-1)
    likely = logits.gather(-1, all_images.flatten(1)[..., None]).sum((1, 2)).exp()
    count = 20_000
    numbers = (sample(*decoder, count, seed=0).flatten(1) * torch.tensor([27, 9, 3, 1])).sum(1)
    found = numbers.bincount(minlength=81) / count
    assert (found - likely).abs().max() < 5 * (0.25 / count) ** 0.5


def test_with_one_symbol_to_choose_from_the_likeliest_is_drawn_whatever_the_seed(decoder: Decoder) -> None:
    drawn = sample(*decoder, 6, seed=0, top_k=1)
    assert torch.equal(drawn, sample(*decoder, 6, seed=9, temperature=7.0, top_k=1))
    assert len(torch.unique(drawn, dim=0)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "temperature: 0 is not a number above 1e-30"),
        ({"temperature": 1e-40}, "temperature: 1e-40 is not a number above 1e-30"),
        ({"temperature": float("nan")}, "temperature: nan is not a number above 1e-30"),
        ({"top_k": 4}, "top_k: 4 is not in 1..3"),
    ],
)
def test_values_out_of_range_are_refused(decoder: Decoder, changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample(*decoder, 1, seed=0, **changes)  # type: ignore[arg-type]
