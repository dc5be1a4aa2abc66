"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from projpipe.metric import Metric
from projpipe.training.history import HistoryRow

LINES_IN_A_LOG = 5
SECONDS_BETWEEN_LOOKS = 0.5
logger = logging.getLogger(__name__)


@contextmanager
def progress_bar(title: str, total: int, note: str = "") -> Iterator[Callable[[int, str], None]]:
    """Gives a function that shows how much of `total` is done, and a note on it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    logged = 0
    with Progress(*columns) as bar:
        task = bar.add_task(title, total=total, note=note)

        def show(done: int, note: str) -> None:
            nonlocal logged
            bar.update(task, completed=done, note=note)
            reached = done * LINES_IN_A_LOG // total
            if not bar.console.is_terminal and reached > logged:
                logger.info("%s: %s", title, note)
                logged = reached

        yield show


@contextmanager
def followed_progress(title: str, total: int, note: str, look: Callable[[], tuple[int, str] | None]) -> Iterator[None]:
    """Show, while the body waits for others, what `look` finds them to have done of `total`; None is nothing yet."""
    stop = threading.Event()
    with progress_bar(title, total, note) as show:

        def follow() -> None:
            ended = False
            while not ended:
                ended = stop.wait(SECONDS_BETWEEN_LOOKS)
                if found := look():
                    show(*found)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@dataclass(frozen=True)
class Reached:
    """How far a run is: the seed, its step, and the last score on the validation tasks, in words."""

    seed: int
    step: int
    score: str


def note_progress(path: Path, row: HistoryRow, metric: Metric) -> None:
    """Add to a file, which `last_progress` reads elsewhere, how far a run is."""
    with path.open("a") as file:
        file.write(json.dumps(vars(Reached(row.seed, row.step, metric.named(row.validation_score)))) + "\n")


def last_progress(path: Path) -> Reached | None:
    """What was noted last, and whole."""
    try:
        lines = path.read_text().split("\n")[:-1]  # the last may be half written
        return Reached(**json.loads(lines[-1])) if lines else None
    except (OSError, ValueError):  # not there yet, or shared storage is behind
        return None
