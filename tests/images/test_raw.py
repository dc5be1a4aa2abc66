import numpy as np

from projpipe.images.raw import RawImages


def test_the_first_images_of_every_class_are_kept_in_their_order() -> None:
    class_ids = np.array([1, 0, 1, 1, 0, 1, 0, 0, 1])
    images = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)
    kept = RawImages(images, class_ids, ("a", "b"), ("", "")).first(3)
    assert kept.images.flatten().tolist() == [0, 1, 2, 3, 4, 6]
    assert kept.class_ids.tolist() == [1, 0, 1, 1, 0, 0]
    assert kept.classes == ("a", "b")
