import pytest

from projpipe.methods.registry import main_methods
from projpipe.metric import METRICS
from projpipe.reporting.wording import WORDING, Wording, described, told_apart


def test_there_are_words_for_every_objective() -> None:
    assert list(WORDING) == ["classification", "image_modeling"]


@pytest.mark.parametrize("objective", WORDING)
def test_there_are_words_for_every_method_of_a_run(objective: str) -> None:
    assert list(described(objective)) == ["teacher", *main_methods()]
    assert set(told_apart(objective)) == {"teacher", "static", "universal"}


@pytest.mark.parametrize("wording", WORDING.values(), ids=list(WORDING))
def test_every_gap_is_filled(wording: Wording) -> None:
    filled = [
        wording.differences.format(steps=next(iter(METRICS.values())).step_title),
        wording.sizes.format(classes="1 class", all=10),
        wording.one_image.format(share=2.5),
    ]
    assert not [text for text in filled if "{" in text]
