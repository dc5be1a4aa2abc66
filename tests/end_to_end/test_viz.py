"""Kedro-Viz shows the project to someone who has not read the code."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession

from projpipe.pipeline_registry import WHOLE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS_TO_START = 60
PORTS = range(20_000, 32_000)  # Kedro-Viz takes none above 49,151, and clients are given those from 32,768 on


@pytest.fixture(scope="module")
def site(make_project: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of Kedro-Viz, for a project in which `split_tasks` has run."""
    project = make_project(tmp_path_factory.mktemp("viz"))
    with KedroSession.create(project, env="smoke") as session:
        session.run(pipeline_names=["split_tasks"])
    port = free_port()
    command = [sys.executable, "-m", "kedro", "viz", "run", "--env", "smoke", "--no-browser", "--port", str(port)]
    # A session of its own, as Kedro-Viz starts processes that outlive it.
    server = subprocess.Popen(
        command, cwd=project, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS_TO_START * 4):
            try:
                urlopen(address).close()
                break
            except URLError:
                assert server.poll() is None, server.stdout and server.stdout.read().decode()
                time.sleep(0.25)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def free_port() -> int:
    for port in PORTS:
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port of {PORTS} is free")


def fetch(address: str) -> Any:
    with urlopen(address) as answer:  # noqa: S310 - the server that this test started
        return json.load(answer)


def test_layers_follow_the_data(site: str) -> None:
    assert fetch(f"{site}/api/main")["layers"] == [
        "raw",
        "primary",
        "teacher",
        "model_input",
        "models",
        "projector",
        "reporting",
    ]


def test_each_pipeline_is_one_box_that_opens(site: str) -> None:
    graph = fetch(f"{site}/api/main")
    boxes = graph["modular_pipelines"]["__root__"]["children"]
    assert {box["id"] for box in boxes if box["type"] == "modularPipeline"} == set(WHOLE)
    for node in graph["nodes"]:
        if node["type"] == "task":
            assert node["tags"] == node["modular_pipelines"]
            assert node["full_name"].startswith(f"{node['tags'][0]}.")


def test_a_table_is_previewed(site: str) -> None:
    ids = {node["name"]: node["id"] for node in fetch(f"{site}/api/main")["nodes"]}
    shown = fetch(f"{site}/api/nodes/{ids['tasks']}")
    assert shown["preview_type"] == "TablePreview"
    assert shown["preview"]["columns"] == ["task_id", "name", "class_ids", "kind", "strategy", "weight"]
    assert len(shown["preview"]["data"]) == 10


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to open the page: apt-get install chromium")
def test_the_page_names_every_node_and_data_set(site: str, tmp_path: Path) -> None:
    whole = pipelines["__default__"]
    nodes = {node.name.split(".")[-1] for node in whole.nodes}
    named = nodes | {name for name in whole.datasets() if not name.startswith("param")}
    for seconds in (10, 40, 160):  # a busy machine takes longer
        shown = set(re.findall(r"\w+", dumped(f"{site}/?expandAllPipelines=true", seconds, tmp_path)))
        if named <= shown:
            break
    assert named - shown == set()


def dumped(address: str, seconds: int, profile: Path) -> str:
    """The elements of a page after so many seconds of its own time."""
    return subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={1000 * seconds}",
            "--dump-dom",
            address,
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    ).stdout
