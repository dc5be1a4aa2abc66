"""How numbers are written for people, in the report and in the closing table."""


def percent(share: float) -> str:
    """A share as per cent with one decimal: 0.9712 is '97.1'."""
    return f"{100 * share:.1f}"


def points(share: float) -> str:
    """A difference of shares in percentage points with its sign: -0.0034 is '−0.3' with a true minus sign."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def count(number: float) -> str:
    """A large number in three figures: 1234567 is '1.23 M'."""
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def verdict(interval: tuple[float, float]) -> str:
    """What a 95 % interval of a difference says: 'better', 'worse' or 'no difference shown'."""
    low, high = interval
    return "better" if low > 0 else "worse" if high < 0 else "no difference shown"
