"""A folder is for one process at a time, and free when that has ended, however it did."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from projpipe.errors import InputError
from projpipe.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from projpipe.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def take(folder: Path) -> None:
    with locked(folder):
        pass


def test_a_folder_in_use_is_refused_and_free_after_its_user_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "smoke"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"smoke: is in use by another run \(process {other.pid}: .*smoke\)"):
            take(folder)
        other.send_signal(signal.SIGKILL)
        other.wait()
        take(folder)


@pytest.mark.parametrize("broken", ["data", "data/smoke"])
@pytest.mark.parametrize("how", ["a link to nothing", "a file"])
def test_what_cannot_be_made_a_folder_is_named(how: str, broken: str, tmp_path: Path) -> None:
    path = tmp_path / broken
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("/nowhere/at/all") if how == "a link to nothing" else path.touch()
    with pytest.raises(
        InputError, match=rf"^{tmp_path}/data\S*: cannot be made a folder, as a file or a link to nothing"
    ):
        take(tmp_path / "data/smoke")


def test_a_folder_is_free_after_use_and_names_nobody(tmp_path: Path) -> None:
    take(tmp_path)
    take(tmp_path)
    assert (tmp_path / LOCK).read_text() == ""
