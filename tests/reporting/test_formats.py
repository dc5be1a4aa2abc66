from projpipe.reporting.formats import count, percent, points, verdict


def test_numbers_are_written_for_people() -> None:
    assert percent(0.97149) == "97.1"
    assert (points(0.0234), points(-0.0034)) == ("+2.3", "\N{MINUS SIGN}0.3")
    assert [count(n) for n in (950, 15_400, 1_234_567, 2.5e9, 4.5e12, 1e15)] == [
        "950",
        "15.4 k",
        "1.23 M",
        "2.5 G",
        "4.5 T",
        "1 P",
    ]
    assert [verdict(i) for i in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1), (0.0, 0.1))] == [
        "better",
        "worse",
        "no difference shown",
        "no difference shown",
    ]
