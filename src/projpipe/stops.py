"""How a program ends when it is told to: soon, in order, and with one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = "stopped; run the same command again to go on"
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PATIENCE = 8.0  # seconds for what is half-written to be removed, after which the program ends as it is

stopping = threading.Event()  # set when this process has been told to end
_said = threading.Event()


class Stopped(SystemExit):
    """The program was told to end; its code is the one that shells give to the signal."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """While the body runs, a signal that is to end the program raises `Stopped`, so that what is half-written goes.

    A signal that is not to end it, as `nohup` asks for, still does not. Only the main thread hears of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {end: signal.getsignal(end) for end in ENDING if signal.getsignal(end) in usual}
    for end in before:
        signal.signal(end, _stop)
    try:
        yield
    except Stopped:
        _say_so()
        raise
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


@contextmanager
def keeping_signals() -> Iterator[None]:
    """Put back what is done on signals, where the body is a library's that sets its own ways."""
    before = {end: signal.getsignal(end) for end in ENDING}
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def end_with_parent() -> None:
    """End as if told to when the parent is gone, which would otherwise leave this process to run on."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    stopping.set()
    for end in ENDING:
        signal.signal(end, signal.SIG_IGN)
    last = threading.Timer(PATIENCE, _end_now, [128 + number])
    last.daemon = True
    last.start()
    raise Stopped(128 + number)


def _end_now(code: int) -> None:
    _say_so()
    os._exit(code)


def _say_so() -> None:
    if not _said.is_set():
        _said.set()
        sys.stderr.write(f"{STOPPED}\n")
        sys.stderr.flush()
