"""Programs that are told to end do so soon, leave nothing half-written, and say how to go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from projpipe.stops import STOPPED, _descendants, ending_in_order, in_a_thread

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


HALF_WRITTEN = """
import sys, time
from pathlib import Path
from projpipe import stops
from projpipe.atomic import write_atomically
stops.PATIENCE = float(sys.argv[2])
with stops.ending_in_order(), write_atomically(Path(sys.argv[1]) / "new" / "folder") as temporary:
    temporary.mkdir()
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(float(sys.argv[3]))
"""


def tell_to_end(folder: Path, number: signal.Signals, patience: float, tidying: float) -> None:
    def usual() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    command = [sys.executable, "-c", HALF_WRITTEN, str(folder), str(patience), str(tidying)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=usual)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    started = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate()
    assert time.monotonic() - started < 10
    assert process.returncode == 128 + number
    assert said == f"{STOPPED}\n"


@each_signal
def test_a_program_that_is_told_to_end_says_so_and_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    tell_to_end(tmp_path, number, patience=30, tidying=0)
    assert list(tmp_path.iterdir()) == []


@each_signal
def test_it_ends_soon_though_tidying_takes_for_ever(number: signal.Signals, tmp_path: Path) -> None:
    tell_to_end(tmp_path, number, patience=0.5, tidying=60)


def test_a_signal_that_nohup_keeps_away_stays_away() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


TOLD_TO_END = """
import atexit, signal, subprocess, sys, threading, time
from projpipe.stops import ending_in_order, in_a_thread

class Swallows:
    def __del__(self):
        wait()

def wait():
    signal.raise_signal(signal.SIGTERM)
    time.sleep(60)

def taken_for_a_failure():
    try:
        wait()
    except BaseException as error:
        raise ImportError("as of a module in C++ that was interrupted") from error

def swallowed():
    try:
        wait()
    except BaseException:
        pass

def signal_to_another_thread():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

with ending_in_order():
    {}
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "body",
    [
        "swallows = Swallows(); swallows = None",
        "in_a_thread(signal_to_another_thread)",
        "taken_for_a_failure()",
        "swallowed(); time.sleep(60)",
        "atexit.register(time.sleep, 60); atexit.register(print, 'a library', file=sys.stderr); wait()",
        "subprocess.Popen(['sh', '-c', 'sleep 60 & sleep 60']); time.sleep(0.5); wait()",
    ],
)
def test_it_ends_soon_and_with_all_that_it_started_wherever_the_signal_meets_it(body: str) -> None:
    started = time.monotonic()
    command = [sys.executable, "-c", TOLD_TO_END.format(body)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # until all have closed their output
    assert time.monotonic() - started < 7
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGTERM, f"{STOPPED}\n")


def test_a_parent_is_ended_before_its_children() -> None:
    shell = subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & echo; wait' & wait"], stdout=subprocess.PIPE)
    assert shell.stdout is not None
    shell.stdout.readline()
    of_shell = [child.pid for child in psutil.Process(shell.pid).children(recursive=True)]
    found = _descendants()
    assert len(of_shell) == 2
    assert [process for process in found if process in {shell.pid, *of_shell}] == [shell.pid, *of_shell]
    for process in (shell.pid, *of_shell):
        os.kill(process, signal.SIGKILL)
    shell.communicate()


WHILE_KEDRO_STARTS = """
import signal, sys

class Told:
    def find_spec(self, name, path=None, target=None):
        if name == "projpipe.config_loader":
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException as error:
                raise {} from error

sys.argv = ["kedro", "run"]
sys.meta_path.insert(0, Told())
import projpipe.settings
"""


@pytest.mark.parametrize("error", ["error", "ImportError('as of a module in C++ that was interrupted')"])
def test_a_run_that_is_stopped_while_its_modules_are_imported_says_so_too(error: str) -> None:
    command = [sys.executable, "-c", WHILE_KEDRO_STARTS.format(error)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGINT, f"{STOPPED}\n")


def test_what_a_thread_returns_or_raises_comes_back() -> None:
    def fail() -> None:
        raise TimeoutError("mine")

    assert in_a_thread(lambda: 1) == 1
    with pytest.raises(TimeoutError, match="mine"):
        in_a_thread(fail)


ORPHANED = """
import os, subprocess, sys, time
until_parent, until_child = sys.argv[1:]
child = "import sys, time; from projpipe.stops import *; time.sleep(float(sys.argv[1]))\\n"
child += "end_when_told(); end_with_parent(); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child, until_child])
time.sleep(float(until_parent))
os._exit(9)
"""


@pytest.mark.parametrize(("until_parent", "until_child"), [("2", "0"), ("0", "1")], ids=["later", "before"])
def test_a_program_whose_parent_is_gone_ends_too(until_parent: str, until_child: str) -> None:
    started = time.monotonic()
    command = [sys.executable, "-c", ORPHANED, until_parent, until_child]
    ended = subprocess.run(  # until both have closed their output
        command, capture_output=True, start_new_session=True, text=True, check=False
    )
    assert time.monotonic() - started < 30
    assert ended.stderr == f"{STOPPED}\n"
