"""The page's server: many people at once, what it refuses, and how the command ends."""

import json
import re
import socket
import sys
import tomllib
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from browsing import serving
from projpipe import load_projector
from projpipe.app import listening, markup
from projpipe.app.loaded import BY_SIZE, LoadedProjector
from projpipe.commands.main import main

PEOPLE, QUESTIONS = 10, 20
MOST_GROWTH = 30 * 2**20  # bytes of memory, over so many questions
ROOT = Path(__file__).parents[2]
ON_A_SPACE = """
import projpipe.app.server as server
serve_here = server.serve
def serve(projector, host, port):
    assert (host, port) == ("0.0.0.0", 7860), "where a Space listens"
    serve_here(projector, port=0)
server.serve = serve
"""


HTTP = httpx.Client(timeout=60)


def ask(address: str, number: int, *question: Any) -> httpx.Response:
    """What the server answers to a question of the event with a number, asked as the page asks it."""
    asked = {"data": question, "fn_index": number, "session_hash": uuid.uuid4().hex}
    return HTTP.post(f"{address}/gradio_api/run/predict", json=asked)


def event(address: str, target: str, name: str) -> int:
    """The number of what follows from an event of the component with an id."""
    config = HTTP.get(f"{address}/config").json()
    component = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == target)
    return next(one["id"] for one in config["dependencies"] if [component, name] in one["targets"])


def memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, which says how much memory is used")
def test_ten_people_at_once_get_answers_to_their_own_questions_and_memory_does_not_grow(
    served: tuple[str, int], folder: Path
) -> None:
    address, pid = served
    projector, resize = load_projector(folder), event(address, "position", "change")

    def person(seed: int) -> list[tuple[list[str], int, list[str]]]:
        rng = np.random.default_rng(seed)
        told = []
        for _ in range(QUESTIONS):
            classes, position = rng.permutation(projector.classes)[: rng.integers(2, 10)].tolist(), int(rng.integers(3))
            answer = ask(address, resize, classes, BY_SIZE, position, False, None)
            told.append((classes, position, answer.json()["data"]))
        return told

    with ThreadPoolExecutor(PEOPLE) as people:
        list(people.map(person, range(PEOPLE)))
        before = memory(pid)
        everything = [one for told in people.map(person, range(PEOPLE, 2 * PEOPLE)) for one in told]
    assert memory(pid) - before < MOST_GROWTH
    assert projector.size_table is not None
    for classes, position, (facts, take, _) in everything:
        size = projector.size_table.sizes[position].of(projector.operator.spec)
        assert f"<dd>{size.deployed_params(len(classes)):,}<small>" in facts
        assert f"classes={','.join(map(str, projector.class_ids(classes)))}" in take


def test_the_zip_is_of_the_classes_and_size_asked_for(served: tuple[str, int]) -> None:
    answer = HTTP.get(f"{served[0]}/model.zip?classes=3,5&size=8x1x2x8")
    with zipfile.ZipFile(BytesIO(answer.content)) as found:
        manifest = json.loads(found.read("model/manifest.json"))
    assert manifest["classes"] == ["three", "five"]
    assert manifest["spec"]["embed_dim"] == 8


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("classes=3,55", "classes: 55 is not in 0..9"),
        ("classes=3,-1", "classes: -1 is not in 0..9"),
        ("classes=3", "must be two or more"),
        ("classes=3,x", "classes: '3,x' are no numbers of classes; write them as 3,5"),
        ("classes=", "classes: '' are no numbers of classes; write them as 3,5"),
        ("size=9x9", "classes: '' are no numbers of classes; write them as 3,5"),
        (f"classes={'9' * 5000}", "are no numbers of classes; write them as 3,5"),
        ("classes=3,5&onnx=maybe", "onnx: Input should be a valid boolean"),
        ("classes=3,5&size=9x9", "size: "),
    ],
)
def test_a_forged_question_is_refused_in_one_line(query: str, said: str, served: tuple[str, int]) -> None:
    answer = HTTP.get(f"{served[0]}/model.zip?{query}")
    assert answer.status_code == 400
    assert said in answer.text
    assert answer.text.count("\n") == 1
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/etc/passwd", "../manifest.json"])
def test_a_picture_is_read_from_what_was_uploaded_and_from_nowhere_else(
    path: str, served: tuple[str, int], folder: Path
) -> None:
    address = served[0]
    question = ["zero", "two"], BY_SIZE, 0, {"path": path, "meta": {"_type": "gradio.FileData"}}
    answer = ask(address, event(address, "picture", "change"), *question)
    assert answer.status_code == 500
    assert "data" not in answer.json()
    assert HTTP.get(f"{address}/gradio_api/file={folder / 'manifest.json'}").status_code == 403


def test_a_port_that_is_taken_is_refused_in_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["app", str(folder), "--port", str(port), "--no-open"])
    assert result.exit_code == 2
    assert f"--port: {port} of 127.0.0.1 cannot be had" in result.stderr


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("300.1.1.1", "--host: '300.1.1.1' cannot be listened on ("),
        ("192.0.2.1", "--host: '192.0.2.1' cannot be listened on (Cannot assign requested address); give 127.0.0.1"),
        ("", "--host: it is empty; give 127.0.0.1"),
    ],
)
def test_a_host_that_is_none_of_this_machines_is_named_and_one_port_is_tried(
    host: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, create = [], socket.create_server

    def counted(*arguments: Any, **options: Any) -> socket.socket:
        tried.append(arguments)
        return create(*arguments, **options)

    monkeypatch.setattr(socket, "create_server", counted)
    result = CliRunner().invoke(main, ["app", str(folder), "--host", host, "--no-open"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr
    assert len(tried) <= 1


def test_the_next_port_is_taken_where_one_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        monkeypatch.setattr(listening, "PORTS", [first, 0])
        with listening.listen("127.0.0.1", None) as found:
            assert listening.address("127.0.0.1", found) != f"http://127.0.0.1:{first}"


@pytest.mark.parametrize(
    ("host", "opened"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")]
)
def test_a_browser_opens_an_address_that_leads_here(
    host: str, opened: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("projpipe.app.server.serve_at", lambda listening, projector, ready: ready())
    monkeypatch.setattr("click.launch", seen.append)
    said = CliRunner().invoke(main, ["app", str(folder), "--host", host, "--port", "0"]).stdout
    port = said.split()[0].rpartition(":")[2]
    assert said.startswith(f"http://{host}:{port} ")
    assert seen == [f"http://{opened}:{port}"]


def test_a_time_beside_other_programs_is_a_range_on_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = LoadedProjector.read(folder)
    monkeypatch.setattr("projpipe.app.loaded.clock_and_processor_seconds", lambda run: (0.003, 0.001))
    classes, image = loaded.first_classes, torch.zeros(1, 1, 8, 8)
    for said in (loaded.ask_student(loaded.projector.student(classes), image), loaded.ask_teacher(classes, image)):
        assert "1 to 3 ms here" in markup.answer("model", classes, said)


def test_without_gradio_the_command_says_the_line_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("projpipe.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = CliRunner().invoke(main, ["app", str(folder)])
    assert result.exit_code == 2
    assert result.stderr == "Error: app: gradio is not installed; `pip install 'projpipe[app]'`\n"


def of_a_space(language: str) -> str:
    """What the documentation says is in the file of a Space that is in a language."""
    page = (ROOT / "docs/app.md").read_text()
    (text,) = re.findall(rf"^```(?:\{{code-block\}} )?{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return text


def test_the_program_of_a_space_serves_the_page_of_what_comes_with_projpipe(tmp_path: Path) -> None:
    with serving(tmp_path / "space", ON_A_SPACE + of_a_space("python")) as (address, _):
        assert "pickup truck" in HTTP.get(f"{address}/config").text


def test_a_space_has_what_the_page_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = yaml.safe_load(of_a_space("yaml").split("---\n")[1])
    assert (said["sdk"], said["app_file"]) == ("gradio", "app.py")
    assert said["python_version"] in SpecifierSet(project["requires-python"])
    assert f"gradio=={said['sdk_version']} " in (ROOT / "requirements.lock").read_text()
    asked = Requirement(of_a_space("text").strip())
    assert (asked.name, asked.extras) == ("projpipe", {"app"})
