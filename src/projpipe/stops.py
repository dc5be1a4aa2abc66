"""How a program ends when it is told to: soon, in order, and with one line."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

STOPPED = "stopped; run the same command again to go on"
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PATIENCE = 8.0  # seconds for what is half-written to be removed, after which the program ends as it is
SECONDS_BETWEEN_LOOKS = 0.1

stopping = threading.Event()  # set when this process has been told to end
_told: list[int] = []  # by which signal, then
_said = threading.Event()


class Stopped(SystemExit):
    """The program was told to end; its code is the one that shells give to the signal."""

    def __del__(self) -> None:
        """Be raised once more by whoever swallowed it: Python does so in `__del__`, and some modules in C++."""
        if stopping.is_set() and not _said.is_set():
            signal.signal(_told[0], _stop)
            threading.Timer(SECONDS_BETWEEN_LOOKS, _tell_main_thread, _told).start()


@contextmanager
def ending_in_order() -> Iterator[None]:
    """While the body runs, a signal that is to end the program raises `Stopped`, so that what is half-written goes.

    A signal that is not to end it, as `nohup` asks for, still does not. Only the main thread hears of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = end_when_told()
    try:
        yield
    except BaseException:
        if not stopping.is_set():
            raise
        _say_so()
        with suppress(OSError):
            sys.stdout.flush()
        raise Stopped(128 + _told[0]) from None  # what it was taken for where it was raised is of no interest
    finally:
        if not stopping.is_set():  # else the end is not to be disturbed
            for end, handler in before.items():
                signal.signal(end, handler)


def end_when_told() -> Mapping[signal.Signals, Any]:
    """From now on, a signal that is to end this program raises `Stopped`; what these signals did before.

    For programs that import for seconds before `ending_in_order` is theirs.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {end: signal.getsignal(end) for end in ENDING if signal.getsignal(end) in usual}
    for end in before:
        signal.signal(end, _stop)
    return before


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
    """End as if told to when the parent is gone, which would otherwise leave this process to run on.

    One that is in another group of processes has taken over an orphan.
    """
    parent = os.getppid()

    def watch() -> None:
        with suppress(ProcessLookupError):  # it has just ended
            while os.getppid() == parent and os.getpgid(parent) == os.getpgrp():
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
    if _said.is_set():
        return
    if not stopping.is_set():
        _told.append(number)
        stopping.set()
        # Python would let libraries end in their own time, and free what their threads, which go on, still use.
        atexit.register(_end_as_told)
        last = threading.Timer(PATIENCE, _end_as_told)
        last.daemon = True
        last.start()
        # Libraries take `Stopped` for a failure of what was interrupted.
        sys.excepthook = lambda *_: None
        sys.unraisablehook = lambda _: None
    raise Stopped(128 + number)


def _tell_main_thread(number: int) -> None:
    identity = threading.main_thread().ident
    assert identity is not None  # it has begun
    signal.pthread_kill(identity, number)


def _end_as_told() -> None:
    _say_so()
    end_now(128 + _told[0])


def _descendants() -> list[int]:
    """Processes that this one has started, then those that these have; none where the system shows no files of them.

    A parent comes before its children, so that one that is killed in this order hears nothing of their end.
    """
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            parents[int(status.parent.name)] = int(status.read_bytes().rpartition(b")")[2].split()[1])
    found = [os.getpid()]
    for ancestor in found:
        found += [process for process, parent in parents.items() if parent == ancestor and process not in found]
    return found[1:]


def _say_so() -> None:
    if not _said.is_set():
        _said.set()
        sys.stderr.write(f"{STOPPED}\n")
        sys.stderr.flush()
