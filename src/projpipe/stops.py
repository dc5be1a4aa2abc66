"""How a program ends when it is told to: soon, in order, and with one line."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

STOPPED = "stopped; run the same command again to go on"
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PATIENCE = 8.0  # seconds for what is half-written to be removed, after which the program ends as it is
SECONDS_BETWEEN_LOOKS = 0.1

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
        with suppress(OSError):
            sys.stdout.flush()
        raise
    finally:
        if not stopping.is_set():  # else the end is not to be disturbed
            for end, handler in before.items():
                signal.signal(end, handler)


def in_a_thread(work: Callable[[], Any], then: Callable[[], object] = lambda: None) -> Any:
    """What `work` returns or raises, while the main thread does nothing but wait to be told to end.

    A library that is called in the main thread may set its own ways with signals. Nor is it in order there to be
    interrupted anywhere.

    Args:
        then: what the thread does afterwards, while this one goes on.
    """
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)
        else:
            then()

    threading.Thread(target=run, daemon=True).start()
    # The system gives a signal to any thread. Where that is another, it does not end the wait of this one.
    while not wait([done], SECONDS_BETWEEN_LOOKS).done:
        pass
    return done.result()


def end_with_parent() -> None:
    """End as if told to when the parent is gone, which would otherwise leave this process to run on."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        _tell_main_thread(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def end_now(code: int) -> None:
    """End at once and without another word, and with this process all that it has started, directly or not."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries would complain of what they miss
    # From the first kill on, nothing here lets another thread run: one that misses what is killed could keep the rest.
    for process in _descendants():
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    os._exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    for end in ENDING:
        signal.signal(end, signal.SIG_IGN)
    if not stopping.is_set():
        stopping.set()
        # Python would let libraries end in their own time, and free what their threads, which go on, still use.
        atexit.register(_end_as_told, 128 + number)
        last = threading.Timer(PATIENCE, _end_as_told, [128 + number])
        last.daemon = True
        last.start()
        sys.unraisablehook = partial(_stop_again, number)
    raise Stopped(128 + number)


def _stop_again(number: int, swallowed: sys.UnraisableHookArgs) -> None:
    """Raise `Stopped` once more: Python goes on where it is raised in what Python itself calls, such as `__del__`."""
    if issubclass(swallowed.exc_type, Stopped):
        signal.signal(number, _stop)
        threading.Timer(SECONDS_BETWEEN_LOOKS, _tell_main_thread, [number]).start()


def _tell_main_thread(number: int) -> None:
    identity = threading.main_thread().ident
    assert identity is not None  # it has begun
    signal.pthread_kill(identity, number)


def _end_as_told(code: int) -> None:
    _say_so()
    end_now(code)


def _descendants() -> set[int]:
    """Processes that this one has started, and that those have; empty where the system does not show them as files."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            parents[int(status.parent.name)] = int(status.read_bytes().rpartition(b")")[2].split()[1])
    found = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def _say_so() -> None:
    if not _said.is_set():
        _said.set()
        sys.stderr.write(f"{STOPPED}\n")
        sys.stderr.flush()
