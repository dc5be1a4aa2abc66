"""Programs that are told to end do so soon, leave nothing half-written, and say how to go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from projpipe.stops import STOPPED, ending_in_order, keeping_signals

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


def test_a_library_does_not_change_what_signals_do() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keeping_signals():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before


ORPHANED = """
import os, subprocess, sys, time
child = "from projpipe.stops import *; import time; end_with_parent()\\nwith ending_in_order(): time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child])
time.sleep(2)
os._exit(9)
"""


def test_a_program_whose_parent_is_gone_ends_too() -> None:
    started = time.monotonic()
    command = [sys.executable, "-c", ORPHANED]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # until both have closed their output
    assert time.monotonic() - started < 30
    assert ended.stderr == f"{STOPPED}\n"
