"""What holds for every command."""

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from projpipe.atomic import write_atomically
from projpipe.commands.main import main, tidy_when_told_to_end
from projpipe.errors import LONGEST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    def be_told() -> None:
        with tidy_when_told_to_end(), write_atomically(tmp_path / "new" / "folder") as temporary:
            temporary.mkdir()
            os.kill(os.getpid(), number)

    before = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may have it ignored
    try:
        with pytest.raises(SystemExit) as ended:
            be_told()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert ended.value.code == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_nohup_keeps_away_stays_away() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with tidy_when_told_to_end():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("arguments", [["predict", "m", "i", "--top"], ["predict", "m", "i", "--json"], []])
def test_what_click_refuses_is_one_short_line(arguments: list[str]) -> None:
    long = "\x1b[31m" + "x" * 10**5
    result = CliRunner().invoke(main, [*arguments[:-1], f"{arguments[-1]}={long}"] if arguments else [long])
    assert result.exit_code == 2
    usage, _, error = result.stderr.partition("Error: ")
    assert len(usage.splitlines()) <= 3
    assert len(error.rstrip("\n")) <= LONGEST
    assert error.rstrip("\n").isprintable()
