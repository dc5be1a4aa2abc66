"""The one exception that projpipe raises for input a person can mend."""


class InputError(ValueError):
    """Bad input: the message names the value, the place it came from, and the mend."""
