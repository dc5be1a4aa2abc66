"""What people see of long work."""

import logging
import threading
from pathlib import Path

import pytest

from projpipe.metric import ACCURACY
from projpipe.training.history import HistoryRow
from projpipe.training.progress import Reached, followed_progress, last_progress, note_progress, progress_bar


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def test_a_log_file_gets_a_line_a_fifth_of_the_way(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), progress_bar("train teacher", 20) as show:
        for epoch in range(1, 21):
            show(epoch, f"epoch {epoch}")
    assert caplog.messages == [f"train teacher: epoch {epoch}" for epoch in (4, 8, 12, 16, 20)]


def test_work_of_others_is_followed_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    looked = threading.Event()
    done = 0

    def look() -> tuple[int, str] | None:
        looked.set()
        return (done, f"step {done}") if done else None

    with caplog.at_level(logging.INFO), followed_progress("train projected", 10, "starting", look):
        assert looked.wait(5)
        done = 10  # and at once the body ends
    assert caplog.messages == ["train projected: step 10"]


def test_a_row_that_is_half_written_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    assert last_progress(path) is None
    note_progress(path, HistoryRow(0, 5, 0.3, 0.971, None, kept=True), ACCURACY)
    with path.open("a") as file:
        file.write('{"seed": 0, "st')
    assert last_progress(path) == Reached(seed=0, step=5, score="accuracy 97.1 %")
