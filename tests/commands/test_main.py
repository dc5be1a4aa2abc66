"""What holds for every command."""

import pytest
from click.testing import CliRunner

from projpipe.commands.main import main
from projpipe.errors import LONGEST


@pytest.mark.parametrize("arguments", [["predict", "m", "i", "--top"], ["predict", "m", "i", "--json"], []])
def test_what_click_refuses_is_one_short_line(arguments: list[str]) -> None:
    long = "\x1b[31m" + "x" * 10**5
    result = CliRunner().invoke(main, [*arguments[:-1], f"{arguments[-1]}={long}"] if arguments else [long])
    assert result.exit_code == 2
    usage, _, error = result.stderr.partition("Error: ")
    assert len(usage.splitlines()) <= 3
    assert len(error.rstrip("\n")) <= LONGEST
    assert error.rstrip("\n").isprintable()
