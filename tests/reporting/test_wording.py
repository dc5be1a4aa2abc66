import pytest

from projpipe.metric import METRICS
from projpipe.reporting.looks import METHOD_NAMES
from projpipe.reporting.wording import WORDING, Wording


def test_there_are_words_for_every_objective() -> None:
    assert list(WORDING) == ["classification", "image_modeling"]


@pytest.mark.parametrize("wording", WORDING.values(), ids=list(WORDING))
def test_words_are_for_every_method_and_every_gap_is_filled(wording: Wording) -> None:
    assert list(wording.described) == ["teacher", "projected", "static", "universal"]
    assert set(wording.told_apart) == set(wording.described) - {"projected"} < METHOD_NAMES.keys()
    filled = [
        wording.differences.format(steps=next(iter(METRICS.values())).step_title),
        wording.sizes.format(classes="1 class", all=10),
        wording.one_image.format(share=2.5),
    ]
    assert not [text for text in filled if "{" in text]
