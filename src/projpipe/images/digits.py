"""scikit-learn's handwritten digits: shipped inside the package, so that everything runs without a download."""

import numpy as np

from projpipe.images.raw import RawImages

GREY_LEVELS = 17


def read_digits() -> RawImages:
    """1,797 grey images [8, 8, 1]; the 17 levels 0..16 are spread over 0..255, so that no two of them meet.

    Source: UCI 'Optical Recognition of Handwritten Digits', test part, as `sklearn.datasets.load_digits`.
    """
    # Slow to import, and no other source needs it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / (GREY_LEVELS - 1))).astype(np.uint8)
    classes = tuple(str(name) for name in digits.target_names)
    return RawImages(images[..., None], digits.target.astype(np.int64), classes, ("",) * len(classes))
