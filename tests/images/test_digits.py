import numpy as np
from sklearn.datasets import load_digits

from projpipe.images.digits import read_digits


def test_digits_keep_their_17_grey_levels_and_their_labels() -> None:
    raw = read_digits()
    assert raw.images.shape == (1797, 8, 8, 1)
    assert raw.images.dtype == np.uint8
    assert len(np.unique(raw.images)) == 17
    assert np.array_equal(np.rint(raw.images[..., 0] / 255 * 16), load_digits().images)
    assert np.array_equal(raw.class_ids, load_digits().target)
    assert raw.classes == tuple("0123456789")
    assert raw.groups == ("",) * 10
