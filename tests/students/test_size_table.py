"""What was measured of a projector's sizes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from makers import CLASSIFIER, measured_size
from projpipe.errors import InputError
from projpipe.manifest import SIZES
from projpipe.students.elapsed import Elapsed
from projpipe.students.size_table import REMAKE, SizeTable, read_size_table

LARGEST = CLASSIFIER.resized(16, 2, 4, 32)
MIDDLE, SMALL = LARGEST.resized(12, 2, 4, 12), LARGEST.resized(8, 1, 2, 8)


TABLE = SizeTable(
    "0" * 64,
    "accuracy",
    num_classes=3,
    batch=1,
    threads=1,
    machine="Linux x86_64",
    versions={"torch": "2.9"},
    recommended=1,
    sizes=(measured_size(SMALL, 0.7), measured_size(MIDDLE, 0.9), measured_size(LARGEST, 0.8)),
)


SIZE_OF_TABLE = TABLE.to_json()["sizes"][0]


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_size_table(tmp_path, TABLE.weights_sha256) is None
    TABLE.save(tmp_path)
    assert read_size_table(tmp_path, TABLE.weights_sha256) == TABLE
    assert TABLE.score_of(MIDDLE) == 0.9
    assert TABLE.score_of(LARGEST.resized(8, 2, 2, 8)) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights_sha256": "1" * 64}, "is of another projector, or of this one before it was trained anew"),
        ({"metric": "beauty"}, "metric: 'beauty' is none of accuracy"),
        ({"recommended": 3}, "recommended: 3 is no position among 3 sizes"),
        ({"threads": 0}, "threads: 0 is not in 1..1024"),
        ({"sizes": []}, "sizes: a length of 0"),
        ({"more": 1}, "more: is not known"),
        ({"sizes": [{**SIZE_OF_TABLE, "other_row": [1.0]}]}, "8x1x2x8: other_row: 1 numbers are not its width"),
    ],
)
def test_one_that_contradicts_itself_or_belongs_to_other_weights_is_refused(
    changed: dict[str, object], said: str, tmp_path: Path
) -> None:
    (tmp_path / SIZES).write_text(json.dumps({**TABLE.to_json(), **changed}))
    with pytest.raises(InputError) as refused:
        read_size_table(tmp_path, TABLE.weights_sha256)
    assert str(tmp_path / SIZES) in str(refused.value)
    assert said in str(refused.value)
    assert str(refused.value).endswith(f"; {REMAKE}")


def test_a_table_says_both_times_where_both_were_measured(tmp_path: Path) -> None:
    assert "undisturbed_ms" not in json.dumps(TABLE.to_json())  # as older tables were written
    busy = Elapsed(median_ms=3.0, undisturbed_ms=1.0)
    timed = replace(TABLE, sizes=tuple(size.timed(busy) for size in TABLE.sizes))
    timed.save(tmp_path)
    assert read_size_table(tmp_path, TABLE.weights_sha256) == timed
    assert [size.latency for size in timed.sizes] == 3 * [busy]


def test_the_best_size_is_first_and_fewer_bits_are_better() -> None:
    assert TABLE.best_first(LARGEST) == [MIDDLE, LARGEST, SMALL]
    bits = replace(TABLE, metric="bits_per_pixel")
    assert bits.best_first(LARGEST) == [SMALL, LARGEST, MIDDLE]


def test_what_is_expected_goes_by_the_number_of_classes() -> None:
    size = replace(TABLE.sizes[1], per_doubling=-0.1)
    table = replace(TABLE, task_classes=(2, 4.0, 8), sizes=(TABLE.sizes[0], size))
    score, interval = table.expected(size, 8)
    assert (score, *interval) == pytest.approx((0.8, 0.79, 0.81))
    assert table.expected(size, 4) == (size.score, size.interval)
    assert table.expected(size, 1)[1][1] == 1.0  # no accuracy is higher
    assert table.expected(TABLE.sizes[0], 8) == (0.7, TABLE.sizes[0].interval)
    assert TABLE.expected(size, 8) == (size.score, size.interval)
    assert SizeTable.from_json(json.loads(json.dumps(table.to_json()))) == table
