"""The page served as people do it, and opened in a browser."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

# Says on standard error whom a program wants to reach but this machine.
WATCH = """
import ipaddress, socket, sys
def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        try:
            inside = ipaddress.ip_address(arguments[1][0]).is_loopback
        except ValueError:
            inside = arguments[1][0] == "localhost"
        if not inside:
            print("REACHED FOR", arguments[1], file=sys.stderr, flush=True)
sys.addaudithook(watch)
"""
PROJPIPE = "from projpipe.commands.main import main; main()"


@contextmanager
def serving(folder: Path, program: str = PROJPIPE) -> Iterator[tuple[str, int]]:
    """The address of a projector's page and the id of its process, which may reach for no other machine."""
    said = folder.parent / "said"
    command = [sys.executable, "-c", WATCH + program, "app", str(folder), "--port", "0", "--no-open"]
    with said.open("w") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            assert line.startswith("http://127.0.0.1:"), said.read_text()
            yield line.split()[0], server.pid
        finally:
            server.terminate()
    assert "REACHED FOR" not in said.read_text()


@contextmanager
def opened(browser: Browser, address: str, **context: Any) -> Iterator[Page]:
    """The page in a window of its own. It may fetch nothing from elsewhere, and no error may reach the console."""
    wrong: list[str] = []
    with browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}) as window:
        page = window.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda sent: None if sent.url.startswith((address, "blob:", "data:")) else wrong.append(sent.url)
        )
        page.goto(address)
        page.wait_for_selector("#take a")
        yield page
    assert wrong == []
