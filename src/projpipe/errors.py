"""What projpipe raises for input that a person can mend."""

from collections.abc import Iterator


class InputError(ValueError):
    """Bad input: the message names the value, the place it came from, and the mend."""


class DivergenceError(InputError):
    """A loss that is no number any more: the learning rate is too high for what is trained."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
